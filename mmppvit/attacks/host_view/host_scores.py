"""How much a host can tell of neighbors, objects, classes and boxes, beside patches alone."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from mmppvit.attacks.host_view.host_neighbors import score_neighbors
from mmppvit.attacks.host_view.host_recording import SeenImage
from mmppvit.attacks.host_view.linear_fit import area_under_curve, ridge
from mmppvit.attacks.host_view.true_image import TrueImage

__all__ = ['score_host']


def score_host(seen: Sequence[SeenImage], truth: Sequence[TrueImage], known: int = 20
               ) -> dict[str, dict[str, float]]:
    """Score the attackers on the images that both have.

    *neighbors*: see :func:`score_neighbors`. *objects*: area under the ROC curve of telling
    patches in boxes from others: by the norm of the gradient, or by a ridge regression that has
    learned on ``known`` images with boxes. *classes*: balanced accuracy of a ridge regression on
    patches in boxes, learned on the same images; of gradients, or of the patches' pixels.
    *same box*: area under the ROC curve of telling pairs of patches in one box from pairs in
    two boxes of an image, by the cosine of their mean gradients, or of their pixels. *box size*:
    Spearman's correlation of the area of a patch's box with what a ridge regression says, learned
    on the same images; that of chance is 0.

    Args:
        seen (Sequence[SeenImage]): What the host has.
        truth (Sequence[TrueImage]): The same images.
        known (int): Images whose boxes and order the attacker has.

    Returns:
        dict[str, dict[str, float]]: For each question ``gradients``, ``patches`` and ``chance``.
    """
    grads = [_unit_features(image) for image in seen]
    pixels = [_pixel_features(image) for image in seen]
    labels = [image.labels for image in truth]
    objects = np.concatenate([x >= 0 for x in labels])
    norms = np.concatenate([image.norms / max(image.steps, 1) for image in seen])
    deviation = np.concatenate([x[:, -3] for x in pixels])
    found = score_neighbors(seen, truth, known)
    found['objects'] = dict(gradients=area_under_curve(norms, objects),
                            patches=area_under_curve(deviation, objects), chance=.5)
    found['same box'] = dict(
        gradients=_same_box([image.directions for image in seen], truth),
        patches=_same_box([x[:, :-3] for x in pixels], truth), chance=.5)
    if 0 < known < len(seen):
        classes = len(np.unique(np.concatenate(labels)[objects]))
        for name, score, chance in (('objects, learned', _learned_objects, .5),
                                    ('classes', _class_accuracy, 1 / max(classes, 1)),
                                    ('box size', _box_size, 0.)):
            found[name] = dict(gradients=score(grads, truth, known),
                               patches=score(pixels, truth, known), chance=chance)
    return found


def _unit_features(image: SeenImage) -> np.ndarray:
    """(N, D + 1): mean gradient and its mean norm."""
    count = max(image.steps, 1)
    return np.concatenate([image.directions, image.norms[:, None]], 1) / count


def _pixel_features(image: SeenImage) -> np.ndarray:
    """(N, C * s * s + 3): pixels, and how much they vary."""
    flat = image.patches.reshape(len(image.patches), -1).astype(np.float64) / 16
    around = flat - flat.mean(1, keepdims=True)
    return np.concatenate([flat, around.std(1, keepdims=True), np.abs(around).max(1, keepdims=True),
                           np.abs(np.diff(around, axis=1)).mean(1, keepdims=True)], 1)


def _learned_objects(features: Sequence[np.ndarray], truth: Sequence[TrueImage], known: int
                     ) -> float:
    inside = [image.labels >= 0 for image in truth]
    predict = ridge(np.concatenate(features[:known]), np.concatenate(inside[:known]).astype(float))
    return area_under_curve(predict(np.concatenate(features[known:])),
                            np.concatenate(inside[known:]))


def _in_boxes(features: Sequence[np.ndarray], values: Sequence[np.ndarray],
              truth: Sequence[TrueImage]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    inside = [image.labels >= 0 for image in truth]
    return ([x[m] for x, m in zip(features, inside, strict=True)],
            [x[m] for x, m in zip(values, inside, strict=True)])


def _class_accuracy(features: Sequence[np.ndarray], truth: Sequence[TrueImage], known: int
                    ) -> float:
    """Balanced accuracy on patches in boxes."""
    features, labels = _in_boxes(features, [image.labels for image in truth], truth)
    classes, train = np.unique(np.concatenate(labels)), np.concatenate(labels[:known])
    targets = (train[:, None] == classes).astype(float)
    # Rare classes count as much as frequent ones.
    weights = 1 / np.maximum((train[:, None] == train).sum(1), 1)
    predict = ridge(np.concatenate(features[:known]), targets, weights)
    guess = classes[predict(np.concatenate(features[known:])).argmax(1)]
    right = np.concatenate(labels[known:])
    return float(np.mean([(guess[right == c] == c).mean() for c in np.unique(right)]))


def _box_size(features: Sequence[np.ndarray], truth: Sequence[TrueImage], known: int) -> float:
    """Rank correlation on patches in boxes; 0 if the guess is the same for all."""
    features, areas = _in_boxes(features, [image.areas for image in truth], truth)
    predict = ridge(np.concatenate(features[:known]), np.log(np.concatenate(areas[:known])))
    guess, right = predict(np.concatenate(features[known:])), np.concatenate(areas[known:])
    if np.ptp(guess) == 0 or np.ptp(right) == 0:
        return 0.
    return float(spearmanr(guess, right).statistic)


def _same_box(features: Sequence[np.ndarray], truth: Sequence[TrueImage]) -> float:
    """Pairs of all images together."""
    scores, same = [], []
    features, boxes = _in_boxes(features, [image.boxes for image in truth], truth)
    for rows, box in zip(features, boxes, strict=True):
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
        one, other = np.triu_indices(len(box), 1)
        scores.append((unit @ unit.T)[one, other])
        same.append(box[one] == box[other])
    return area_under_curve(np.concatenate(scores), np.concatenate(same))
