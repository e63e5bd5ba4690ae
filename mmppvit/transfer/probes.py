"""What features say about classes: nearest neighbor and linear probe, with intervals."""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mmppvit.utils.user_errors import need_packages

__all__ = ['PROBES', 'ProbeScore', 'balanced_accuracy', 'bootstrap_over_images', 'cross_validate',
           'linear_probe', 'nearest_neighbor']

_FOLDS = 5
_PENALTY = .1  # C of the linear probe: features have more dimensions than there are views
_RESAMPLES = 1000


class ProbeScore(NamedTuple):
    """Balanced accuracy, the mean of the classes' recalls, and its 95 % interval."""
    accuracy: float
    low: float
    high: float


def nearest_neighbor(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Labels (M, ) of ``test`` (M, D): those of the nearest of ``train`` (N, D)."""
    from sklearn.neighbors import KNeighborsClassifier
    return _scaled(KNeighborsClassifier(1)).fit(train, labels).predict(test)


def linear_probe(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Labels (M, ) of ``test`` (M, D) by logistic regression, classes weighted alike."""
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(C=_PENALTY, class_weight='balanced', max_iter=2000)
    return _scaled(model).fit(train, labels).predict(test)


def _scaled(model):
    """Each feature to mean 0 and deviation 1 over the training views: all networks alike."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    return make_pipeline(StandardScaler(), model)


PROBES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = dict(
    nearest=nearest_neighbor, linear=linear_probe)


def cross_validate(probe: Callable, features: np.ndarray, labels: np.ndarray, groups: np.ndarray,
                   seed: int = 0) -> np.ndarray:
    """Labels (N, ) for views of images that the probe has not seen.

    Args:
        probe (Callable): One of :data:`PROBES`.
        features (ndarray): (N, D).
        labels (ndarray): (N, ).
        groups (ndarray): (N, ) the image of each view; no image is in two folds.
        seed (int): Of the folds.

    Raises:
        ValueError: The views are of too few images.
    """
    need_packages('sklearn')
    from sklearn.model_selection import StratifiedGroupKFold
    images = [len(set(groups[labels == label])) for label in np.unique(labels)]
    folds = min(_FOLDS, *images)
    if folds < 2:
        raise ValueError('a class is in one image only: cross-validation needs it in two')
    predicted = np.empty_like(labels)
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in split.split(features, labels, groups):
        predicted[test] = probe(features[train], labels[train], features[test])
    return predicted


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall of the classes that ``labels`` has."""
    return float(np.mean([(predicted[labels == label] == label).mean()
                          for label in np.unique(labels)]))


def bootstrap_over_images(labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray,
                          seed: int = 0) -> ProbeScore:
    """Balanced accuracy with a percentile bootstrap: images are drawn again, and not views.

    Views of one image are right or wrong together (Efron 1979, of clusters).
    """
    images, places = np.unique(groups, return_inverse=True)
    total = np.zeros((len(images), labels.max() + 1))
    found = np.zeros_like(total)
    np.add.at(total, (places, labels), 1)
    np.add.at(found, (places, labels), labels == predicted)
    times = np.random.default_rng(seed).multinomial(
        len(images), np.full(len(images), 1 / len(images)), _RESAMPLES)
    total, found = times @ total, times @ found
    # A class that a draw has no view of does not count in it.
    recalls = np.divide(found, total, out=np.full_like(found, np.nan), where=total > 0)
    low, high = np.nanquantile(np.nanmean(recalls, 1), [.025, .975])
    return ProbeScore(balanced_accuracy(labels, predicted), float(low), float(high))
