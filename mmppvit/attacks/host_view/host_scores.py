"""How much a host can tell of neighbors, objects and classes, beside chance and patches alone."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmppvit.attacks.attackers.jigsaw.compatibility import pair_scores
from mmppvit.attacks.host_view.host_recording import SeenImage

__all__ = ['TrueImage', 'score_host']


@dataclass
class TrueImage:
    """What the owner knows of an image, in the order of the host's patches.

    Attributes:
        places (ndarray): (N, 2) int, row and column of each patch.
        labels (ndarray): (N, ) int, class of the smallest box over its center, -1 for none.
    """
    places: np.ndarray
    labels: np.ndarray


def score_host(seen: Sequence[SeenImage], truth: Sequence[TrueImage], known: int = 20
               ) -> dict[str, dict[str, float]]:
    """Score the attackers on the images that both have.

    *neighbors*: share of the patches whose most similar patch lies right beside, above or below.
    Similar are gradients (cosine over all steps, each centered on its image), or, for patches
    alone, borders (MGC, blind to offsets). *objects*: area under the ROC curve of telling
    patches in boxes from others: by the norm of the gradient, or by a ridge regression that has
    learned on ``known`` images with boxes. *classes*: balanced accuracy of a ridge regression on
    patches in boxes, learned on the same images; of gradients, or of the patches' pixels.

    Args:
        seen (Sequence[SeenImage]): What the host has.
        truth (Sequence[TrueImage]): The same images.
        known (int): Images whose boxes the attacker has.

    Returns:
        dict[str, dict[str, float]]: For each question ``gradients``, ``patches`` and ``chance``.
    """
    grads = [_unit_features(image) for image in seen]
    pixels = [_pixel_features(image) for image in seen]
    labels = [image.labels for image in truth]
    objects = np.concatenate([x >= 0 for x in labels])
    rest = np.concatenate([x >= 0 for x in labels[known:]])
    norms = np.concatenate([image.norms / max(image.steps, 1) for image in seen])
    deviation = np.concatenate([x.std(1) for x in pixels])
    found = dict(
        neighbors=dict(
            gradients=_mean(map(_gradient_neighbors, seen, truth)),
            patches=_mean(map(_border_neighbors, seen, truth)),
            chance=_mean(_beside(t.places).sum() / len(t.places) / (len(t.places) - 1)
                         for t in truth)),
        objects=dict(gradients=_auc(norms, objects), patches=_auc(deviation, objects), chance=.5))
    if 0 < known < len(seen):
        inside = [(x >= 0).astype(float) for x in labels]
        found['objects, learned'] = dict(
            gradients=_auc(_ridge(grads, inside, known), rest),
            patches=_auc(_ridge(pixels, inside, known), rest), chance=.5)
        found['classes'] = dict(gradients=_class_accuracy(grads, labels, known),
                                patches=_class_accuracy(pixels, labels, known),
                                chance=1 / len(np.unique(np.concatenate(labels)[objects])))
    return found


def _mean(values) -> float:
    return float(np.mean(list(values)))


def _beside(places: np.ndarray) -> np.ndarray:
    """(N, N) bool: whether two places share a side."""
    return np.abs(places[:, None] - places[None]).sum(2) == 1


def _gradient_neighbors(image: SeenImage, truth: TrueImage) -> float:
    length = np.sqrt(np.maximum(np.diag(image.similarity), 1e-30))
    return _first_guess(image.similarity / length[:, None] / length, truth)


def _border_neighbors(image: SeenImage, truth: TrueImage) -> float:
    right, below = pair_scores(image.patches.transpose(0, 2, 3, 1).astype(np.float32), blind=True)
    return _first_guess(np.maximum.reduce([right, right.T, below, below.T]), truth)


def _first_guess(similarity: np.ndarray, truth: TrueImage) -> float:
    similarity = similarity.copy()
    np.fill_diagonal(similarity, -np.inf)
    guess = similarity.argmax(1)
    return float(_beside(truth.places)[np.arange(len(guess)), guess].mean())


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


def _ridge(features: Sequence[np.ndarray], targets: Sequence[np.ndarray], known: int) -> np.ndarray:
    """Predictions for the images after the first ``known``, which are learned from."""
    train, target = np.concatenate(features[:known]), np.concatenate(targets[:known])
    test = np.concatenate(features[known:])
    mean, std = train.mean(0), train.std(0) + 1e-9
    train, test = (train - mean) / std, (test - mean) / std
    center = target.mean(0)
    gram = train.T @ train + .01 * len(train) * np.eye(train.shape[1])
    return test @ np.linalg.solve(gram, train.T @ (target - center)) + center


def _class_accuracy(features: Sequence[np.ndarray], labels: Sequence[np.ndarray],
                    known: int) -> float:
    """Balanced accuracy on patches in boxes."""
    features = [f[x >= 0] for f, x in zip(features, labels, strict=True)]
    labels = [x[x >= 0] for x in labels]
    classes, train = np.unique(np.concatenate(labels)), np.concatenate(labels[:known])
    # Rare classes count as much as frequent ones.
    weight = {c: 1 / max((train == c).sum(), 1) for c in classes}
    targets = [(x[:, None] == classes).astype(float) for x in labels]
    weights = np.sqrt(np.concatenate([[weight[c] for c in x] for x in labels[:known] if len(x)]))
    score = _weighted_ridge(np.concatenate(features[:known]), np.concatenate(targets[:known]),
                            weights, np.concatenate(features[known:]))
    guess, right = classes[score.argmax(1)], np.concatenate(labels[known:])
    return float(np.mean([(guess[right == c] == c).mean() for c in np.unique(right)]))


def _weighted_ridge(train: np.ndarray, target: np.ndarray, weights: np.ndarray,
                    test: np.ndarray) -> np.ndarray:
    mean, std = train.mean(0), train.std(0) + 1e-9
    train, test = ((np.concatenate([(x - mean) / std, np.ones((len(x), 1))], 1))
                   for x in (train, test))
    scaled = train * weights[:, None]
    gram = scaled.T @ scaled + .01 * (weights**2).sum() * np.eye(train.shape[1])
    return test @ np.linalg.solve(gram, scaled.T @ (target * weights[:, None]))


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve; ties count half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    hits = positive.sum()
    if not 0 < hits < len(positive):
        return float('nan')
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / hits / (len(positive) - hits))
