"""What the owner of the images knows, to score the host by."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from mmppvit.attacks.host_view.host_recording import SeenImage, identify, read_recording
from mmppvit.attacks.host_view.host_scores import score_host
from mmppvit.attacks.host_view.true_image import TrueImage
from mmppvit.two_party.export_patches import without_motions
from mmppvit.two_party.patch_store import cut_patches
from mmppvit.utils.config_files import load_config

__all__ = ['attack_host', 'true_images']


def true_images(cfg) -> dict[bytes, TrueImage]:
    """Places and labels of the training images' patches, by the host's name of the image."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    backbone, preprocessor = cfg.model.backbone, cfg.model.data_preprocessor
    side = backbone.get('patch_size', 16) // backbone.get('grid', 2)
    swap = bool(preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr'))
    dataset = DATASETS.build(without_motions(cfg.train_dataloader.dataset))
    found = {}
    for i in range(len(dataset)):
        sample = dataset[i]
        image = sample['inputs'].flip(0) if swap else sample['inputs']
        name, _, order = identify(cut_patches(image.contiguous(), side))
        boxes = sample['data_samples'].gt_instances
        corners = torch.as_tensor(getattr(boxes.bboxes, 'tensor', boxes.bboxes)).numpy()
        cols = image.shape[2] // side
        places = np.stack(np.divmod(order.numpy(), cols), 1)
        found[name] = _true_image(places, side, corners, boxes.labels.numpy())
    return found


def _true_image(places: np.ndarray, side: int, boxes: np.ndarray, labels: np.ndarray) -> TrueImage:
    """Each patch belongs to the smallest box over its center."""
    none = np.full(len(places), -1)
    if not len(boxes):
        return TrueImage(places, none, none, np.zeros(len(places)))
    center = (places[:, None, ::-1] + .5) * side  # x, y
    inside = ((center >= boxes[None, :, :2]) & (center < boxes[None, :, 2:])).all(2)
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    smallest, within = np.where(inside, sizes, np.inf).argmin(1), inside.any(1)
    return TrueImage(places, np.where(within, labels[smallest], -1), np.where(within, smallest, -1),
                     np.where(within, sizes[smallest] / side**2, 0.))


def attack_host(recording: Path, config: str, cfg_options: Iterable[str] = (), known: int = 20
                ) -> tuple[dict[str, dict[str, float]], int, float]:
    """Attack the recording of a host; the config is that of the training.

    Returns:
        tuple: Scores of :func:`score_host`, images, and steps of each on average.

    Raises:
        ValueError: The recording is of other images than the config's.
    """
    seen = read_recording(recording)
    truth = true_images(load_config(config, cfg_options))
    names = sorted(set(seen) & set(truth))
    if not names:
        raise ValueError(f'none of the {len(seen)} images of {recording} is one of {config}')
    images: list[SeenImage] = [seen[name] for name in names]
    scores = score_host(images, [truth[name] for name in names], known)
    return scores, len(names), float(np.mean([image.steps for image in images]))
