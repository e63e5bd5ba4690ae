"""One sheet that shows what everybody sees."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.ops import nms
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.structures import InstanceData
from torch import nn

from mmppvit.encryption import Key
from mmppvit.sealed import Manifest
from mmppvit.visualization import draw_instances, enlarge, image_grid, save_image

__all__ = ['Attacked', 'detect', 'write_sheet']

WIDTH = 384  # pixels of a column at least
SAME_PLACE = .6  # overlap from which on a box is a second guess


@dataclass(frozen=True)
class Attacked:
    """A victim of the attack: its name, what was reconstructed (BGR), and how well."""
    name: str
    reconstructed: np.ndarray
    ssim: float


def detect(model: nn.Module, dataset: BaseDataset, names: list[str], score_thr: float
           ) -> dict[str, InstanceData]:
    """Detections of some images of a sealed data set, in the frame of the plain images.

    Args:
        model (nn.Module): The detector of the key holder.
        dataset (BaseDataset): The sealed data set with its test pipeline.
        names (list[str]): Plain files of the images.
        score_thr (float): Lower scores are left out.
    """
    sources = {image.file: image.source for image in dataset.manifest.images}
    found, model = {}, model.eval()
    for index in range(len(dataset)):
        path = Path(dataset.get_data_info(index)['img_path'])
        name = sources[path.relative_to(dataset.manifest.root).as_posix()]
        if name in names:
            with torch.no_grad():
                sample = model.test_step(pseudo_collate([dataset[index]]))[0]
            found[name] = _best_at_each_place(sample.pred_instances, score_thr)
    return found


def _best_at_each_place(found: InstanceData, score_thr: float) -> InstanceData:
    """Without weak boxes and second guesses about the same object; NumPy, the best one last."""
    found = found[found.scores >= score_thr]
    _, kept = nms(found.bboxes, found.scores, iou_threshold=SAME_PLACE)
    return found[kept.flip(0)].cpu().numpy()


def write_sheet(path: Path, manifest: Manifest, key: Key, img_dir: Path, attacked: list[Attacked],
                found: dict[str, InstanceData], classes: list[str], palette: list[tuple],
                attacker: str) -> None:
    """Write a PNG with a row for each image: plain, sealed, detections, reconstruction.

    Args:
        path (Path): The file.
        manifest (Manifest): Of the sealed data set.
        key (Key): Of the data set.
        img_dir (Path): Folder of the plain images.
        attacked (list[Attacked]): The rows.
        found (dict[str, InstanceData]): Detections by name.
        classes (list[str]): Names of the classes.
        palette (list[tuple]): Their colors.
        attacker (str): Its name.
    """
    files = {image.source: image.file for image in manifest.images}
    rows = []
    for victim in attacked:
        plain = _read(img_dir / victim.name)
        sealed = _read(manifest.root / files[victim.name])
        height, width = plain.shape[:2]
        zoom = max(1, -(-WIDTH // width))
        size = (zoom * width, zoom * height)
        boxes = found[victim.name]
        labels = [f'{classes[k]} {score:.2f}'
                  for k, score in zip(boxes.labels, boxes.scores, strict=True)]
        shown = enlarge(plain, size)
        rows.append([
            shown, enlarge(sealed, size),
            draw_instances(shown, boxes.bboxes * zoom, labels,
                           [tuple(palette[k]) for k in boxes.labels]),
            _fit(np.ascontiguousarray(victim.reconstructed[..., ::-1]), size)])
    mean = np.mean([victim.ssim for victim in attacked])
    save_image(image_grid(rows, [
        'plain image,\nstays with its owner', 'sealed file,\nhanded over',
        'detections,\nas the key holder sees them',
        f'best reconstruction\nby an attacker ({attacker}, SSIM {mean:.2f})']), path)


def _read(path: Path) -> np.ndarray:
    """RGB uint8 (H, W, 3)."""
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def _fit(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image of any scale in the size of the others, blocks where it is enlarged."""
    return cv2.resize(img, size, interpolation=cv2.INTER_NEAREST)
