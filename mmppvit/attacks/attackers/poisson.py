"""The thumbnail of fully centered patches, integrated from what is left of them."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair, Reconstruction
from mmppvit.attacks.attackers.thumbnail import patch_means, upsample_means
from mmppvit.encryption import MIDDLE_LEVEL, Scheme, split_patches

__all__ = ['PoissonThumbnail']


class PoissonThumbnail(Attacker):
    """The thumbnail of fully centered patches, found again from how neighbors fit.

    Each patch's texture has a slope at its border, from which the step of the mean to the next
    patch is predicted: by the slopes alone, or, after :meth:`fit`, by the linear regression on
    both patches' profiles across the border. All steps and the means of the training images
    (128 without) are then met in the sense of least squares, each weighted by how far it could be
    trusted in training: a screened Poisson equation on the grid of patches, per channel.
    """
    name = 'poisson'
    title = 'Poisson: means that centering took away, integrated from the slopes of the patches'

    # Variances of a step around the predicted one and of a mean around the image's; 8-bit units.
    _STEP, _MEAN = 20.**2, 55.**2

    def __init__(self, scheme: Scheme, seed: int = 0) -> None:
        super().__init__(scheme, seed)
        side = scheme.side
        # Slope of least squares over the profile of either patch; a step is a whole patch wide.
        ramp = np.arange(side) - (side - 1) / 2
        slope = ramp / max((ramp**2).sum(), 1e-9) * scheme.patch_size / 2
        self._weights = np.concatenate([slope, slope])
        self._step, self._spread = self._STEP, self._MEAN
        self._level = np.full(3, float(MIDDLE_LEVEL))

    @classmethod
    def not_for(cls, scheme: Scheme) -> str | None:
        if scheme.shuffles:
            return 'the neighbors of shuffled patches are not known'
        if not (scheme.centers and scheme.center_strength == 1):
            return 'no means were taken away, or a share is left to scale: see the thumbnail'
        return None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        """Regress steps of the means on profiles; exact and quick, so the budget is not asked."""
        profiles, steps, means = [], [], []
        for pair in pairs:
            plain = patch_means(pair.plain, self.scheme.patch_size)
            means.append(plain.reshape(-1, 3))
            for axis in (0, 1):
                found = self._profiles(pair.encrypted, axis)
                profiles.append(found.reshape(-1, found.shape[-1]))
                steps.append(np.diff(plain, axis=axis).reshape(-1))
        x, y, means = np.concatenate(profiles), np.concatenate(steps), np.concatenate(means)
        if not len(y):
            return
        self._weights = np.linalg.solve(x.T @ x + 1e-3 * len(y) * np.eye(x.shape[1]), x.T @ y)
        self._step = max(float(np.mean((y - x @ self._weights)**2)), 1e-3)
        self._level = means.mean(0)
        self._spread = max(float(means.var(0).mean()), 1e-3)

    def _profiles(self, encrypted: np.ndarray, axis: int) -> np.ndarray:
        """(rows, cols, 3, 2 * side) of the two patches at each border on ``axis``."""
        patches = split_patches(encrypted, self.scheme.side).astype(np.float64)
        lines = np.moveaxis(patches.mean(3 - axis), 2, 3)
        lines = (lines - lines.mean(-1, keepdims=True)) / self.scheme.gain
        before, after = (lines[:-1], lines[1:]) if axis == 0 else (lines[:, :-1], lines[:, 1:])
        return np.concatenate([before, after], -1)

    def means(self, encrypted: np.ndarray) -> np.ndarray:
        """Means of the plain patches, float64 (rows, cols, 3)."""
        rows, cols = (extent // self.scheme.side for extent in encrypted.shape[:2])
        eyes = sparse.identity(rows), sparse.identity(cols)
        down = sparse.kron(_differences(rows), eyes[1])
        right = sparse.kron(eyes[0], _differences(cols))
        steps = [(self._profiles(encrypted, axis) @ self._weights).reshape(-1, 3)
                 for axis in (0, 1)]
        screen = self._step / self._spread
        normal = down.T @ down + right.T @ right + screen * sparse.identity(rows * cols)
        wanted = down.T @ steps[0] + right.T @ steps[1]
        found = splu(sparse.csc_matrix(normal)).solve(np.asarray(wanted, np.float64))
        return (found + self._level).reshape(rows, cols, 3)

    def reconstruct(self, encrypted: np.ndarray) -> Reconstruction:
        up = upsample_means(self.means(encrypted), self.scheme.patch_size)
        return Reconstruction(np.rint(up).astype(np.uint8))


def _differences(count: int) -> sparse.spmatrix:
    """(count - 1, count): each row is the next less this one."""
    return sparse.diags([-np.ones(count - 1), np.ones(count - 1)], [0, 1],
                        shape=(count - 1, count))
