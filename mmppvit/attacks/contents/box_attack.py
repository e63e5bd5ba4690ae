"""What boxes in the clear add: patches are put into the boxes that they look like."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.ensemble import HistGradientBoostingClassifier

from mmppvit.attacks.attack_data import load_attack_data
from mmppvit.attacks.attackers.interface import Pair
from mmppvit.attacks.contents.patch_words import patch_vectors
from mmppvit.attacks.judges.plain_boxes import read_plain_boxes, victim_boxes
from mmppvit.attacks.scoring.share_interval import share_interval
from mmppvit.encryption import Key

__all__ = ['BoxScore', 'attack_boxes', 'region_map']

_BANDS = 3  # a face has hair above and a chin below, a street has sky above
_SAMPLED = 60_000  # patches to learn from, at most


@dataclass(frozen=True)
class BoxScore:
    """How many patches of a class were put into boxes of that class.

    Args:
        name (str): Of the class, or 'no box' for patches outside of all.
        patches (int): Of the victims that lie there.
        placed (float): Share of these that were put there.
        low, high (float): 95 % interval over images.
        chance (float): The share by a random order.
    """
    name: str
    patches: int
    placed: float
    low: float
    high: float
    chance: float


def attack_boxes(sealed: str | Path, plain_dir: str | Path, ann: Sequence[Path], key: Key,
                 num_victims: int = 24, num_pairs: int = 400, scale: int = 0, seed: int = 0
                 ) -> list[BoxScore]:
    """Attack shuffled images whose boxes and sizes are in the clear.

    The attacker has images of the same kind with their boxes, which it encrypts by itself, learns
    which patches lie in boxes of which class, and in which third of their height, and assigns the
    patches of a victim to the places that its boxes tell (Kuhn 1955).

    Args:
        sealed (str | Path): The sealed data set.
        plain_dir (str | Path): The folder that it was sealed from.
        ann (Sequence[Path]): COCO jsons of the plain images.
        key (Key): The owner's, to score the order; the attacker does not get it.
        num_victims (int): Images to attack, at most half of all.
        num_pairs (int): Further images for the attacker, at most.
        scale (int): Index of the sealed scales.
        seed (int): Of everything drawn.

    Returns:
        list[BoxScore]: For each class, and 'no box' first.

    Raises:
        ValueError: The scheme does not shuffle, drops patches or needs a network; or as
            :func:`load_attack_data` and :func:`victim_boxes`.
    """
    data = load_attack_data(sealed, plain_dir, key, num_victims, num_pairs, scale, seed)
    if not data.scheme.shuffles or data.scheme.drop:
        raise ValueError(f'scheme {data.scheme.name} has no order that boxes could give away'
                         if not data.scheme.shuffles else 'dropped patches are not attacked')
    truth = read_plain_boxes(*ann)
    classes = sorted(truth.cats)
    maps = {pair.name: region for pairs in (data.pairs, data.victims) for pair, region in zip(
        pairs, _regions(pairs, truth, classes, sealed, scale, data.scheme.patch_size),
        strict=True)}
    model = _learn(data.pairs, maps, data.scheme.side, seed)
    counts = [_place(model, victim, maps[victim.name], data.scheme.side, len(classes) + 1)
              for victim in data.victims]
    right, total = (np.array(column) for column in zip(*counts, strict=True))
    sizes = np.array([maps[victim.name].size for victim in data.victims])
    names = ['no box', *(truth.cats[index]['name'] for index in classes)]
    return [_score(name, right[:, k], total[:, k], sizes, seed) for k, name in enumerate(names)
            if total[:, k].any()]


def region_map(boxes: Sequence[Sequence[tuple[float, float, float, float]]],
               shape: tuple[int, int], patch: int) -> np.ndarray:
    """Which class, and which third of its box or of the image, every patch belongs to.

    Args:
        boxes (Sequence): For each class its boxes: x1, y1, x2, y2 in pixels.
        shape (tuple[int, int]): Patches (rows, columns).
        patch (int): Side of a patch in pixels.

    Returns:
        ndarray: int64 (rows, columns), ``class * 3 + third``; class 0 is no box. A patch belongs
            to the smallest box that its middle is in.
    """
    y, x = ((np.arange(length) + .5) * patch for length in shape)
    out = np.repeat(np.minimum(np.arange(shape[0]) * _BANDS // shape[0], _BANDS - 1)[:, None],
                    shape[1], 1)
    found = [(box, k + 1) for k, group in enumerate(boxes) for box in group]
    for (x1, y1, x2, y2), k in sorted(  # the smallest last
            found, key=lambda item: -(item[0][2] - item[0][0]) * (item[0][3] - item[0][1])):
        third = np.clip((y - y1) / max(y2 - y1, 1e-6) * _BANDS, 0, _BANDS - 1).astype(int)
        inside = ((y >= y1) & (y < y2))[:, None] & (x >= x1) & (x < x2)
        out = np.where(inside, (k * _BANDS + third)[:, None], out)
    return out.astype(np.int64)


def _regions(pairs: Sequence[Pair], truth, classes: Sequence[int], sealed: str | Path, scale: int,
             patch: int) -> list[np.ndarray]:
    names = [pair.name for pair in pairs]
    by_class = [victim_boxes(truth, sealed, scale, names, [index]) for index in classes]
    return [region_map([boxes[k] for boxes in by_class],
                       tuple(side // patch for side in pair.plain.shape[:2]), patch)
            for k, pair in enumerate(pairs)]


def _learn(pairs: Sequence[Pair], maps: dict[str, np.ndarray], side: int, seed: int):
    vectors = np.concatenate([patch_vectors(pair.encrypted, side) for pair in pairs])
    labels = np.concatenate([maps[pair.name].reshape(-1)[pair.order] for pair in pairs])
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(labels))[:_SAMPLED]
    model = HistGradientBoostingClassifier(max_iter=60, random_state=seed, early_stopping=False)
    return model.fit(vectors[chosen], labels[chosen])


def _place(model, victim: Pair, regions: np.ndarray, side: int, classes: int
           ) -> tuple[np.ndarray, np.ndarray]:
    """(right, total), int64 (classes, ): of the patches of each class, those put into it."""
    places = regions.reshape(-1)
    chances = np.full((len(places), classes * _BANDS), 1e-6)
    chances[:, model.classes_] = np.maximum(
        model.predict_proba(patch_vectors(victim.encrypted, side)), 1e-6)
    _, order = linear_sum_assignment(-np.log(chances[:, places]))
    true, found = places[victim.order] // _BANDS, places[order] // _BANDS
    return (np.bincount(true[true == found], minlength=classes),
            np.bincount(true, minlength=classes))


def _score(name: str, right: np.ndarray, total: np.ndarray, sizes: np.ndarray, seed: int
           ) -> BoxScore:
    low, high = share_interval(right, total, seed=seed)
    chance = float((total / sizes * total).sum() / total.sum())
    return BoxScore(name, int(total.sum()), float(right.sum() / total.sum()), low, high, chance)
