"""What a detector of plain images still finds on reconstructed ones."""
from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.apis import inference_detector
from mmdet.registry import TRANSFORMS
from mmdet.utils import get_test_pipeline_cfg
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.attackers.interface import Pair
from mmppvit.attacks.judges.judge_list import Judge, JudgeFiles, requested_judges
from mmppvit.attacks.judges.plain_boxes import image_ids, read_plain_boxes
from mmppvit.attacks.judges.plain_detector import load_detector
from mmppvit.attacks.runner import AttackSettings
from mmppvit.attacks.scoring.ap_interval import ap_interval
from mmppvit.sealed import Manifest

__all__ = ['DetectorScore', 'VictimDetector', 'detector_ap', 'load_detector']

RESAMPLES = 500  # of the bootstrap of the report


@dataclass(frozen=True)
class DetectorScore:
    """COCO's average precision over some images.

    Args:
        ap (float): At IoU 0.50 to 0.95, 0 to 1.
        ap50 (float): At IoU 0.50.
        low, high (float | None): 95 % bootstrap interval of ``ap`` over images, if asked for.
        count (int): Images.
    """
    ap: float
    ap50: float
    low: float | None
    high: float | None
    count: int


class VictimDetector(Judge):
    """AP of one detector on whatever attackers made of the same victims.

    Reconstructed images are in the frame of the padded plain image at the sealed scale; padding
    is cut away, and boxes are brought to the frame of the json.

    Args:
        detector (nn.Module): From :func:`load_detector`.
        truth (COCO): Boxes of the plain images, from :func:`read_plain_boxes`.
        sealed (str | Path): The sealed data set, whose manifest knows sizes before padding.
        scale (int): Index of its scales.
        victims (Sequence[Pair]): Of that scale.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: A victim is not in the json, or with another size; the detector knows none of
            its classes, or is one of encrypted images.
    """
    title = 'detector AP'

    @classmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles
                   ) -> VictimDetector | None:
        """With all three files, or None without any; they belong together."""
        given = {'--detector': files.detector, '--checkpoint': files.checkpoint, '--ann': files.ann}
        missing = [option for option, path in given.items() if not path]
        for_text = 'text' in requested_judges(files.judges) and missing[:2] == list(given)[:2]
        if len(missing) == len(given) or for_text:
            return None
        if missing:
            raise ValueError(f'{" and ".join(missing)} missing: --detector, --checkpoint and --ann '
                             'belong together')
        torch.set_num_threads(settings.threads)
        return cls(load_detector(files.detector, files.checkpoint), read_plain_boxes(*files.ann),
                   settings.sealed, settings.scale, data.victims, settings.seed)

    def __init__(self, detector: nn.Module, truth: COCO, sealed: str | Path, scale: int,
                 victims: Sequence[Pair], seed: int = 0) -> None:
        self.detector, self.truth, self.seed = detector, truth, seed
        self.names = [victim.name for victim in victims]
        sealed_ones = {image.source: image for image in Manifest.load(sealed).images
                       if image.scale == scale}
        self.sizes = [tuple(sealed_ones[name].scaled) for name in self.names]
        _check_plain(detector)
        _category_ids(truth, detector)
        for name, index in image_ids(truth, self.names).items():
            item, size = truth.imgs[index], tuple(sealed_ones[name].plain)
            if (item['width'], item['height']) != size:
                raise ValueError(f'{name} is {size[0]}x{size[1]}, its json says '
                                 f'{item["width"]}x{item["height"]}, so its boxes do not fit')

    def __call__(self, imgs: Sequence[np.ndarray]) -> dict[str, float]:
        """uint8 (H, W, 3), one for each victim -> mean, low, high, ap50, count.

        'mean' is COCO's AP of all images together, named as the other figures of a report are.
        """
        images = {name: img[:height, :width] for name, img, (width, height) in
                    zip(self.names, imgs, self.sizes, strict=True)}
        score = detector_ap(self.detector, images, self.truth, RESAMPLES, self.seed)
        return dict(mean=score.ap, low=score.low, high=score.high, ap50=score.ap50,
                    count=score.count)


def _check_plain(detector: nn.Module) -> None:
    kinds = [step['type'] for step in get_test_pipeline_cfg(detector.cfg)]
    # A type may be a class, or have its scope before it.
    kinds = [TRANSFORMS.get(kind) if isinstance(kind, str) else kind for kind in kinds]
    encrypting = sorted(kind.__name__ for kind in kinds
                        if getattr(kind, 'encrypts', False) or getattr(kind, 'reads_sealed', False))
    if encrypting:
        raise ValueError(f'the detector is one of encrypted images, its test pipeline has '
                         f'{", ".join(encrypting)}: give one that was trained on plain images')


def detector_ap(detector: nn.Module, images: Path | Mapping[str, np.ndarray],
                truth: Path | COCO, resamples: int = 0, seed: int = 0) -> DetectorScore:
    """AP of ``detector`` on ``images``, by pycocotools' COCOeval.

    Images and json belong together by file name, else without its ending, else without folders
    as well, and every image shows the whole of its original, at any size: boxes are brought to
    the size that the json says. Cut padding away first. Only annotations of these images count,
    and of these only classes that the detector knows.

    Args:
        detector (nn.Module): From :func:`load_detector`.
        images (Path | Mapping): Folder of images, or uint8 (H, W, 3), BGR, by name.
        truth (Path | COCO): COCO json in the plain frame, or what :func:`read_plain_boxes` made of
            it.
        resamples (int): Of the bootstrap over images; 0 for no interval.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: An image is not in the json, cannot be read, or there is none; no class of the
            detector is in the json.
    """
    truth = truth if isinstance(truth, COCO) else read_plain_boxes(truth)
    ids = image_ids(truth, _names(images))
    categories = _category_ids(truth, detector)
    found = [result for name, index in ids.items() for result in
             _detect(detector, _read(images, name), truth.imgs[index], categories)]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        evaluation = _evaluate(truth, found, sorted(ids.values()), sorted(categories.values()))
        low, high = ap_interval(evaluation, resamples, seed) if resamples else (None, None)
    ap, ap50 = (max(float(value), 0.) for value in evaluation.stats[:2])
    return DetectorScore(ap, ap50, low, high, len(ids))


def _names(images: Path | Mapping) -> list[str]:
    if isinstance(images, Mapping):
        names = sorted(images)
    else:
        names = sorted(str(path.relative_to(images)) for path in Path(images).rglob('*')
                       if path.is_file() and cv2.haveImageReader(str(path)))
    if not names:
        raise ValueError(f'there is no image in {images}')
    return names


def _read(images: Path | Mapping, name: str) -> np.ndarray:
    if isinstance(images, Mapping):
        return images[name]
    img = cv2.imread(str(Path(images) / name))
    if img is None:
        raise ValueError(f'{Path(images) / name} cannot be read')
    return img


def _category_ids(truth: COCO, detector: nn.Module) -> dict[int, int]:
    """From the detector's labels to the json's categories, by name."""
    by_name = {item['name']: item['id'] for item in truth.cats.values()}
    classes = detector.dataset_meta['classes']
    known = {label: by_name[name] for label, name in enumerate(classes) if name in by_name}
    if not known:
        raise ValueError(f'the detector knows {list(classes)[:5]} and the json '
                         f'{sorted(by_name)[:5]}: they have no class in common')
    return known


def _detect(detector: nn.Module, img: np.ndarray, item: dict, categories: dict[int, int]
            ) -> list[dict]:
    found = inference_detector(detector, img).pred_instances.cpu().numpy()
    scale = item['width'] / img.shape[1], item['height'] / img.shape[0]
    boxes = found.bboxes * np.array([*scale, *scale])
    boxes[:, 2:] -= boxes[:, :2]
    return [dict(image_id=item['id'], category_id=categories[int(label)], score=float(score),
                 bbox=box.tolist())
            for box, label, score in zip(boxes, found.labels, found.scores, strict=True)
            if int(label) in categories]


def _evaluate(truth: COCO, found: list[dict], ids: list[int], categories: list[int]) -> COCOeval:
    if not found:
        detections = COCO()
        detections.dataset = dict(images=list(truth.imgs.values()), annotations=[],
                                  categories=list(truth.cats.values()))
        detections.createIndex()
    else:
        detections = truth.loadRes(found)
    evaluation = COCOeval(truth, detections, 'bbox')
    evaluation.params.imgIds = ids
    evaluation.params.catIds = categories
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation
