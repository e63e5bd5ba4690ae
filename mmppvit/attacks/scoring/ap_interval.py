"""How much COCO's average precision would differ with other images of the same kind."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools.cocoeval import COCOeval, Params

__all__ = ['ap_interval', 'average_precision']


def ap_interval(evaluation: COCOeval, resamples: int, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap of AP over images (Efron 1979).

    What was matched once is accumulated over images that are drawn again and again.

    Args:
        evaluation (COCOeval): After ``evaluate()``.
        resamples (int): At least 1.
        seed (int): Of the draws.
    """
    params = evaluation.params
    count = len(params.imgIds)
    areas = len(params.areaRng)
    matched = [evaluation.evalImgs[start:start + count]  # of all sizes, which come first
               for start in range(0, len(evaluation.evalImgs), areas * count)]
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(resamples):
        drawn = rng.integers(0, count, count)
        scores.append(average_precision([[part[i] for i in drawn] for part in matched], params))
    low, high = np.quantile(scores, [.025, .975])
    return float(low), float(high)


def average_precision(matched: Sequence[Sequence[dict | None]], params: Params) -> float:
    """As ``COCOeval.accumulate`` has it, for one range of areas and the most detections.

    It walks through all detections in Python, which takes minutes for a bootstrap; this does not.

    Args:
        matched (Sequence[Sequence]): By class, then image: entries of ``COCOeval.evalImgs``.
        params (Params): Of the evaluation.

    Returns:
        float: The mean over IoU, recall and those classes that are there; 0 if none is.
    """
    scores = [_of_class([part for part in parts if part is not None], params)
              for parts in matched]
    scores = [score for score in scores if score is not None]
    return float(np.mean(scores)) if scores else 0.


def _of_class(parts: Sequence[dict], params: Params) -> float | None:
    positives = sum(int(np.count_nonzero(np.asarray(part['gtIgnore']) == 0)) for part in parts)
    if not positives:
        return None
    most = params.maxDets[-1]
    order = np.argsort(-np.concatenate([part['dtScores'][:most] for part in parts]),
                       kind='mergesort')
    found, ignored = (np.concatenate([part[key][:, :most] for part in parts], 1)[:, order] != 0
                      for key in ('dtMatches', 'dtIgnore'))
    right, wrong = (np.cumsum(hits & ~ignored, 1, dtype=float) for hits in (found, ~found))
    precision = right / np.maximum(right + wrong, np.spacing(1))
    # The best precision at this recall or a higher one, and 0 where no recall is high enough.
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    best = np.pad(best, ((0, 0), (0, 1)))
    return float(np.mean([row[np.searchsorted(recall, params.recThrs)]
                          for row, recall in zip(best, right / positives, strict=True)]))
