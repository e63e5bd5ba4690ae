"""Attackers that put shuffled patches back in order by what they look like."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np

from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.attackers.jigsaw.assembly import MOST_DENSE, assemble
from mmppvit.attacks.attackers.jigsaw.candidates import candidate_scores
from mmppvit.attacks.attackers.jigsaw.compatibility import PairScores, pair_scores
from mmppvit.attacks.attackers.jigsaw.learned_scores import (
    SideBySide,
    fit_side_by_side,
    learned_scores,
)
from mmppvit.attacks.attackers.jigsaw.pieces import Pieces, cut_pieces, undo_centering
from mmppvit.encryption import Scheme, merge_patches, split_patches, unshuffle_patches

__all__ = ['JigsawBlind', 'JigsawLearned', 'JigsawMGC']


class _Jigsaw(Attacker):
    """Scores all pairs, assembles, and shows the mixed patches in the order found."""

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        return None if scheme.shuffles else 'patches are in order'

    @abstractmethod
    def _scores(self, pieces: Pieces) -> PairScores:
        """Log-odds of all pairs of ``pieces``."""

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        pieces = cut_pieces(encrypted, self.scheme)
        order = self._assemble(pieces)
        return Reconstruction(self._image(encrypted, order), order)

    def _assemble(self, pieces: Pieces) -> np.ndarray:
        return assemble(self._scores(pieces), pieces.shape, pieces.blank)

    def _image(self, encrypted: np.ndarray, order: np.ndarray) -> np.ndarray:
        img = unshuffle_patches(encrypted, self.scheme.side, order)
        if self.scheme.centers:
            patches = split_patches(img, self.scheme.side)
            flat = undo_centering(patches.reshape(-1, *patches.shape[2:]), self.scheme)
            img = np.clip(np.rint(merge_patches(flat.reshape(patches.shape))), 0, 255).astype(
                np.uint8)
        if self.scheme.grid == 1:
            return img
        height, width = (side * self.scheme.grid for side in img.shape[:2])
        return cv2.resize(img, (width, height), interpolation=cv2.INTER_CUBIC)


class JigsawMGC(_Jigsaw):
    """Compares the gradients at borders, see :func:`gradient_costs`."""
    name = 'jigsaw-mgc'
    title = 'jigsaw solver that compares the borders of patches'

    def _scores(self, pieces: Pieces) -> PairScores:
        return _by_borders(pieces, False, self.scheme)


class JigsawBlind(_Jigsaw):
    """As :class:`JigsawMGC`, blind to the offset of each patch, which centering takes away."""
    name = 'jigsaw-blind'
    title = 'jigsaw solver that compares borders but for their mean color'

    def _scores(self, pieces: Pieces) -> PairScores:
        return _by_borders(pieces, True, self.scheme)


def _by_borders(pieces: Pieces, blind: bool, scheme: Scheme) -> PairScores:
    if len(pieces.inner) > MOST_DENSE:
        return candidate_scores(pieces.inner, pieces.blank, pieces.gap, blind, _exponent(scheme))
    return pair_scores(pieces.inner, pieces.gap, blind, _exponent(scheme))


def _exponent(scheme: Scheme) -> float:
    """Likeliest on photographs of 224 and 448 pixels: mixed borders tell less than their size."""
    return 2. if scheme.mixes else 4.


class JigsawLearned(_Jigsaw):
    """Compares patches by what a network learned from images under the same scheme."""
    name = 'jigsaw-learned'
    title = 'jigsaw solver that learned which patches are neighbors'
    needs = 'images of the same kind, encrypted by the attacker under the same scheme'
    fit_steps = 2000  # at most, about two minutes on one core at 448 pixels

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        super().__init__(scheme, seed)
        self.net: SideBySide | None = None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        """Errors: see :func:`fit_side_by_side`."""
        self.net, self.error = fit_side_by_side(
            pairs, self.scheme, budget, self.seed, self.fit_steps)

    def _scores(self, pieces: Pieces) -> PairScores:
        if self.net is None:
            raise RuntimeError(f'{self.name} has to learn first: call fit')
        return learned_scores(self.net, pieces)
