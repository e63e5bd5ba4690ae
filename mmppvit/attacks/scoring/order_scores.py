"""How much of an image a jigsaw solver put together."""
from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ['direct_placement', 'largest_component', 'neighbor_accuracy']


def neighbor_accuracy(order: np.ndarray, truth: np.ndarray, shape: tuple[int, int]) -> float:
    """Share of true pairs of neighbors that are neighbors, on the same sides, in ``order``.

    Args:
        order (ndarray): int64 (N, ), reconstructed: place k of the encrypted image belongs in place
            ``order[k]``.
        truth (ndarray): int64 (N, ), as it was.
        shape (tuple[int, int]): Rows and columns of the image, N together.

    Returns:
        float: In [0, 1]; 1 for an image of one patch. By chance about 1 / N.

    Raises:
        ValueError: Either is not a permutation of so many patches.
    """
    kept = _kept_pairs(order, truth, shape)
    total = sum(len(pairs) for pairs, _ in kept)
    return sum(int(hit.sum()) for _, hit in kept) / total if total else 1.


def largest_component(order: np.ndarray, truth: np.ndarray, shape: tuple[int, int]) -> float:
    """Share of the patches in the largest part that is put together correctly.

    Patches belong together if a chain of kept neighbors leads from one to the other.
    Args and errors: as :func:`neighbor_accuracy`.
    """
    kept = _kept_pairs(order, truth, shape)
    first, second = np.concatenate([pairs[hit] for pairs, hit in kept]).T
    links = coo_array((np.ones(len(first), np.int8), (first, second)), (len(truth), ) * 2)
    return float(np.bincount(connected_components(links, directed=False)[1]).max() / len(truth))


def direct_placement(order: np.ndarray, truth: np.ndarray, shape: tuple[int, int]) -> float:
    """Share of the patches in their true place. Args and errors: as :func:`neighbor_accuracy`."""
    order, truth = _checked(order, shape), _checked(truth, shape)
    return float((order == truth).mean())


def _kept_pairs(order: np.ndarray, truth: np.ndarray,
                shape: tuple[int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For right and below: true pairs (M, 2), by their true places, and which of them are kept."""
    order, truth = _checked(order, shape), _checked(truth, shape)
    placed = np.empty((len(truth), 2), np.int64)
    placed[truth] = np.stack(np.divmod(order, shape[1]), 1)  # where each patch of the image went
    places = np.arange(len(truth)).reshape(shape)
    out = []
    for step, (first, second) in (((0, 1), (places[:, :-1], places[:, 1:])),
                                  ((1, 0), (places[:-1], places[1:]))):
        pairs = np.stack([first.ravel(), second.ravel()], 1)
        out.append((pairs, (placed[pairs[:, 1]] - placed[pairs[:, 0]] == step).all(1)))
    return out


def _checked(order: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    order, count = np.asarray(order), shape[0] * shape[1]
    if order.shape != (count, ) or not np.array_equal(np.sort(order), np.arange(count)):
        raise ValueError(f'not an order of {shape[0]} x {shape[1]} patches: {order!r}')
    return order
