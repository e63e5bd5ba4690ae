"""What a detector of plain pictures still finds on recovered ones."""
from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mmppvit  # noqa: F401, has to come before mmdet

import cv2
import numpy as np
from mmdet.apis import inference_detector, init_detector
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

__all__ = ['DetectorScore', 'detector_ap', 'load_detector']


@dataclass(frozen=True)
class DetectorScore:
    """COCO's average precision over some pictures.

    Args:
        ap (float): At IoU 0.50 to 0.95, 0 to 1.
        ap50 (float): At IoU 0.50.
        low, high (float | None): 95 % bootstrap interval of ``ap`` over pictures, if asked for.
        count (int): Pictures.
    """
    ap: float
    ap50: float
    low: float | None
    high: float | None
    count: int


def load_detector(config: str | Path, checkpoint: str | Path | None, device: str = 'cpu'
                  ) -> nn.Module:
    """A detector of MMDetection that was trained on plain pictures.

    Args:
        config (str | Path): Its config.
        checkpoint (str | Path, optional): Its weights; None leaves them at random.
        device (str): Where it runs.
    """
    return init_detector(str(config), checkpoint and str(checkpoint), device=device)


def detector_ap(detector: nn.Module, pictures: Path | Mapping[str, np.ndarray], ann_file: Path,
                resamples: int = 0, seed: int = 0) -> DetectorScore:
    """AP of ``detector`` on ``pictures``, by pycocotools' COCOeval.

    Pictures and json belong together by file name without its ending, and every picture shows
    the whole of its original, at any size: boxes are brought to the size that the json says. Cut
    padding away first. Only annotations of these pictures count, and of these only classes that the
    detector knows.

    Args:
        detector (nn.Module): From :func:`load_detector`.
        pictures (Path | Mapping): Folder of pictures, or uint8 (H, W, 3), BGR, by name.
        ann_file (Path): COCO json, in the plain frame.
        resamples (int): Of the bootstrap over pictures; 0 for no interval.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: A picture is not in the json, cannot be read, or there is none; no class of the
            detector is in the json.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        truth = COCO(str(ann_file))
        ids = _image_ids(truth, pictures)
        categories = _category_ids(truth, detector)
        found = [result for name, index in ids.items() for result in
                 _detect(detector, _read(pictures, name), truth.imgs[index], categories)]
        evaluation = _evaluate(truth, found, sorted(ids.values()), sorted(categories.values()))
        low, high = _interval(evaluation, resamples, seed) if resamples else (None, None)
    ap, ap50 = (max(float(value), 0.) for value in evaluation.stats[:2])
    return DetectorScore(ap, ap50, low, high, len(ids))


def _names(pictures: Path | Mapping) -> list[str]:
    if isinstance(pictures, Mapping):
        return sorted(pictures)
    return sorted(str(path.relative_to(pictures)) for path in Path(pictures).rglob('*')
                  if path.is_file() and cv2.haveImageReader(str(path)))


def _image_ids(truth: COCO, pictures: Path | Mapping) -> dict[str, int]:
    by_stem = {Path(item['file_name']).with_suffix(''): index for index, item in
               truth.imgs.items()}
    names = _names(pictures)
    unknown = [name for name in names if Path(name).with_suffix('') not in by_stem]
    if unknown or not names:
        raise ValueError(f'{len(unknown)} of {len(names)} pictures are not in the json, e.g. '
                         f'{unknown[:3]}' if names else f'there is no picture in {pictures}')
    return {name: by_stem[Path(name).with_suffix('')] for name in names}


def _read(pictures: Path | Mapping, name: str) -> np.ndarray:
    if isinstance(pictures, Mapping):
        return pictures[name]
    img = cv2.imread(str(Path(pictures) / name))
    if img is None:
        raise ValueError(f'{Path(pictures) / name} cannot be read')
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


def _interval(evaluation: COCOeval, resamples: int, seed: int) -> tuple[float, float]:
    """Accumulates what was matched once over pictures that are drawn again and again."""
    ids, matched = list(evaluation.params.imgIds), list(evaluation.evalImgs)
    per_class = np.array(matched, dtype=object).reshape(-1, len(ids))  # class x area, picture
    rng = np.random.default_rng(seed)
    scores = []
    stats = evaluation.stats
    for _ in range(resamples):
        drawn = rng.integers(0, len(ids), len(ids))
        # Pictures may be drawn twice; COCOeval goes by position and knows nothing of it.
        evaluation.evalImgs = per_class[:, drawn].ravel().tolist()
        evaluation.accumulate()
        precision = evaluation.eval['precision'][:, :, :, 0, -1]
        scores.append(precision[precision > -1].mean() if (precision > -1).any() else 0.)
    evaluation.evalImgs, evaluation.stats = matched, stats
    low, high = np.quantile(scores, [.025, .975])
    return float(low), float(high)
