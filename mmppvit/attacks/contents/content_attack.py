"""Dictionary attack: is there a person in it? Told by the patches alone, in whatever order."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmppvit.annotations.image_names import plain_path
from mmppvit.attacks.contents.patch_words import PatchWords, patch_vectors
from mmppvit.attacks.judges.plain_boxes import image_ids, read_plain_boxes
from mmppvit.encryption import pad_to_patches
from mmppvit.sealed import Manifest, read_plain

__all__ = ['ContentScore', 'attack_contents', 'score_contents']

_PATCH = 16  # of schemes that have none
_RESAMPLES = 1000
_LEARNED_LEAST = 8  # images with, and without, that something can be learned from


@dataclass(frozen=True)
class ContentScore:
    """How well it is told whether images show a class: areas under the ROC curve.

    Args:
        name (str): Of the class.
        with_it (int): Images that show it, of ``images``.
        images (int): All.
        sealed (float): By the patches of the sealed images; 0.5 is guessing, 1 is certain.
        low, high (float): 95 % bootstrap interval over images.
        size (float): By width and height of the image alone.
        plain (float | None): By the patches of the plain images, if they are at hand.
    """
    name: str
    with_it: int
    images: int
    sealed: float
    low: float
    high: float
    size: float
    plain: float | None


def attack_contents(sealed: str | Path, ann: Sequence[Path], plain_dir: Path | None = None,
                    scale: int = 0, folds: int = 5, seed: int = 0) -> list[ContentScore]:
    """Attack a sealed data set whose annotations say what its images show.

    The attacker has labeled images of the same kind, which it encrypts by itself: by
    cross-validation each image is judged by what was learned from the others. Neither the key nor
    the order of the patches is used.

    Args:
        sealed (str | Path): The sealed data set.
        ann (Sequence[Path]): COCO jsons of the plain images.
        plain_dir (Path, optional): Their folder, to compare with plain patches.
        scale (int): Index of the sealed scales.
        folds (int): Of the cross-validation.
        seed (int): Of everything drawn.

    Returns:
        list[ContentScore]: Of each class that 8 images have and 8 lack, most frequent ones first.

    Raises:
        ValueError: There is no such class, or an image is not in the jsons.
        FileNotFoundError: A plain image is missing.
    """
    manifest, truth = Manifest.load(sealed), read_plain_boxes(*ann)
    images = [image for image in manifest.images if image.scale == scale]
    side = _PATCH if manifest.scheme.needs_protector else manifest.scheme.side
    bags = {'sealed': [patch_vectors(pad_to_patches(manifest.decode(image), side), side)
                       for image in images],
            'size': np.array([image.scaled for image in images], float)}
    if plain_dir is not None:
        bags['plain'] = [patch_vectors(_plain_patches(plain_dir, image), _PATCH)
                         for image in images]
    ids = image_ids(truth, [image.source for image in images])
    shown = [{item['category_id'] for item in truth.imgToAnns[index]} for index in ids.values()]
    labels = {item['name']: np.array([index in found for found in shown])
              for index, item in truth.cats.items()}
    scores = score_contents(bags, labels, folds, seed)
    if not scores:
        raise ValueError(f'no class is on at least {_LEARNED_LEAST} of the {len(images)} images '
                         f'and missing on as many, so there is nothing to be told')
    return scores


def _plain_patches(folder: Path, image) -> np.ndarray:
    img = read_plain(plain_path(folder, image.source)).img
    return pad_to_patches(cv2.resize(img, tuple(image.scaled)), _PATCH)


def score_contents(bags: Mapping[str, Sequence[np.ndarray]], labels: Mapping[str, np.ndarray],
                   folds: int = 5, seed: int = 0) -> list[ContentScore]:
    """Tell each class of ``labels`` by each kind of ``bags``.

    Args:
        bags (Mapping): 'sealed' and perhaps 'plain', of :func:`patch_vectors`, one an image, and
            'size', float (N, 2).
        labels (Mapping): By class, bool (N, ).
        folds (int): Of the cross-validation.
        seed (int): Of everything drawn.
    """
    # Words know no labels, so that one set of them serves all folds.
    vectors = {kind: np.asarray(bag) if kind == 'size' else
               np.stack(list(map(PatchWords(bag, seed=seed), bag))) for kind, bag in bags.items()}
    scores = []
    for name, label in sorted(labels.items(), key=lambda item: -item[1].sum()):
        if min(label.sum(), (~label).sum()) < _LEARNED_LEAST:
            continue
        guesses = {kind: _guesses(vector, label, folds, seed) for kind, vector in vectors.items()}
        area = {kind: float(roc_auc_score(label, guess)) for kind, guess in guesses.items()}
        low, high = _interval(label, guesses['sealed'], seed)
        scores.append(ContentScore(name, int(label.sum()), len(label), area['sealed'], low, high,
                                   area['size'], area.get('plain')))
    return scores


def _guesses(vectors: np.ndarray, label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """float (N, ): log-odds of each image, by what was learned from the other folds."""
    guesses = np.empty(len(label))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for learn, held in splits.split(vectors, label):
        model = make_pipeline(StandardScaler(), LogisticRegression(
            C=.01, class_weight='balanced', max_iter=1000))
        guesses[held] = model.fit(vectors[learn], label[learn]).decision_function(vectors[held])
    return guesses


def _interval(label: np.ndarray, guess: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap over images, of draws that have both kinds."""
    rng = np.random.default_rng(seed)
    areas = []
    while len(areas) < _RESAMPLES:
        drawn = rng.integers(0, len(label), len(label))
        if 0 < label[drawn].sum() < len(label):
            areas.append(roc_auc_score(label[drawn], guess[drawn]))
    low, high = np.quantile(areas, [.025, .975])
    return float(low), float(high)
