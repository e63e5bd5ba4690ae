"""Which patches lie side by side: guesses by gradients, by patches, and by both, learned."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmppvit.attacks.attackers.jigsaw.compatibility import pair_scores
from mmppvit.attacks.host_view.host_recording import SeenImage
from mmppvit.attacks.host_view.linear_fit import ridge
from mmppvit.attacks.host_view.true_image import TrueImage

__all__ = ['score_neighbors']

_ROWS = 64  # of an image's patches that the learned attacker learns from


def score_neighbors(seen: Sequence[SeenImage], truth: Sequence[TrueImage], known: int
                    ) -> dict[str, dict[str, float]]:
    """Share of the patches whose most likely neighbor lies right beside, above or below.

    *neighbors*: the cosine of gradients, summed over steps, each centered on its image; of patches
    alone, their borders (MGC, blind to offsets). *by the mean*: the cosine of the mean
    gradients, which also compares gradients of different steps. *learned*: a ridge regression over
    all of these for each pair, and over how alike norms and pixels are, learned on the first
    ``known`` images, whose order the attacker has; of patches alone without the gradients.

    Returns:
        dict[str, dict[str, float]]: For each attacker ``gradients``, ``patches``, ``chance``.
    """
    chance = _mean(t.beside.sum() / len(t.places) / (len(t.places) - 1) for t in truth)
    borders = _mean(_first_guess(_borders(s), t) for s, t in zip(seen, truth, strict=True))
    found = {}
    for name, similarity in (('neighbors', _by_steps), ('neighbors, by the mean', _by_mean)):
        found[name] = dict(
            gradients=_mean(_first_guess(similarity(s), t)
                            for s, t in zip(seen, truth, strict=True)),
            patches=borders, chance=chance)
    if 0 < known < len(seen):
        found['neighbors, learned'] = dict(
            gradients=_learned(seen, truth, known, _pair_features),
            patches=_learned(seen, truth, known, _pixel_pairs), chance=chance)
    return found


def _mean(values) -> float:
    return float(np.mean(list(values)))


def _cosine(gram: np.ndarray) -> np.ndarray:
    length = np.sqrt(np.maximum(np.diag(gram), 1e-30))
    return gram / length[:, None] / length


def _by_steps(image: SeenImage) -> np.ndarray:
    return _cosine(image.similarity)


def _by_mean(image: SeenImage) -> np.ndarray:
    centered = image.directions - image.directions.mean(0)
    return _cosine(centered @ centered.T)


def _borders(image: SeenImage) -> np.ndarray:
    right, below = pair_scores(image.patches.transpose(0, 2, 3, 1).astype(np.float32), blind=True)
    return np.maximum.reduce([right, right.T, below, below.T])


def _difference(values: np.ndarray) -> np.ndarray:
    """(N, ) -> (N, N) absolute differences, relative to the deviation."""
    return np.abs(values[:, None] - values) / (values.std() + 1e-9)


def _pixel_pairs(image: SeenImage) -> np.ndarray:
    """(N, N, 3)"""
    borders = _borders(image)
    flat = image.patches.reshape(len(image.patches), -1).astype(np.float64)
    centered = flat - flat.mean(0)
    # MGC differs in scale between images; its rank for each patch does not.
    rank = borders.argsort(1).argsort(1) / len(borders)
    return np.stack([rank + rank.T, _cosine(centered @ centered.T),
                     _difference(flat.std(1))], 2)


def _pair_features(image: SeenImage) -> np.ndarray:
    """(N, N, 6)"""
    gradients = np.stack([_by_steps(image), _by_mean(image), _difference(image.norms)], 2)
    return np.concatenate([gradients, _pixel_pairs(image)], 2)


def _learned(seen: Sequence[SeenImage], truth: Sequence[TrueImage], known: int,
             features: Callable[[SeenImage], np.ndarray]) -> float:
    rng = np.random.default_rng(0)
    pairs, targets = [], []
    for image, true in zip(seen[:known], truth[:known], strict=True):
        rows = rng.permutation(len(true.places))[:_ROWS]
        others = ~np.eye(len(true.places), dtype=bool)[rows]
        pairs.append(features(image)[rows][others])
        targets.append(true.beside[rows][others].astype(float))
    predict = ridge(np.concatenate(pairs), np.concatenate(targets))
    shares = []
    for image, true in zip(seen[known:], truth[known:], strict=True):
        found = features(image)
        shares.append(_first_guess(predict(found.reshape(-1, found.shape[2])).reshape(
            found.shape[:2]), true))
    return _mean(shares)


def _first_guess(similarity: np.ndarray, truth: TrueImage) -> float:
    similarity = similarity.copy()
    np.fill_diagonal(similarity, -np.inf)
    guess = similarity.argmax(1)
    return float(truth.beside[np.arange(len(guess)), guess].mean())
