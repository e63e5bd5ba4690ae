"""The solver that joins a transformer's belief in places with what borders tell."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmppvit.attacks.attackers.interface import Budget, Pair
from mmppvit.attacks.attackers.jigsaw.assembly import assemble_in_cells
from mmppvit.attacks.attackers.jigsaw.cell_network import CellNetwork, cell_odds, fit_cells
from mmppvit.attacks.attackers.jigsaw.learned_scores import learned_scores
from mmppvit.attacks.attackers.jigsaw.pieces import Pieces
from mmppvit.attacks.attackers.jigsaw.solvers import JigsawLearned
from mmppvit.attacks.networks.training import part_of, split_pairs
from mmppvit.encryption import Scheme

__all__ = ['JigsawTransformer']

_SHARE = .4  # of the time, to learn which pieces are neighbors


class JigsawTransformer(JigsawLearned):
    """As :class:`JigsawLearned`, and a :class:`CellNetwork` tells where each piece lies.

    The error that its learning curve shows is the cross-entropy of rows and columns on images held
    out. The pieces are assigned to cells by what the transformer believes and by borders together,
    see :func:`assemble_in_cells`.

    Args:
        scheme (Scheme): How the images were encrypted.
        seed (int): Of all random draws.
        depth (int): Blocks of the transformer.
    """
    name = 'jigsaw-transformer'
    title = 'jigsaw solver whose transformer over all patches predicts the place of each'
    max_steps = 8000  # of the transformer, where the budget allows more

    def __init__(self, scheme: Scheme, seed: int = 0, depth: int = 4) -> None:
        super().__init__(scheme, seed)
        self.depth = depth
        self.cells: CellNetwork | None = None

    def fit(self, pairs: Sequence[Pair], budget: Budget) -> None:
        """Errors: see :func:`fit_side_by_side` and :func:`fit_cells`."""
        learn, held = split_pairs(pairs, self.seed)
        super().fit(learn, part_of(budget, _SHARE))
        self.cells, self.error = fit_cells(
            self.net, learn, held, self.scheme, part_of(budget, 1.), self.seed, self.max_steps,
            self.depth)

    def _assemble(self, pieces: Pieces) -> np.ndarray:
        if self.net is None or self.cells is None:
            raise RuntimeError(f'{self.name} has to learn first: call fit')
        scores = learned_scores(self.net, pieces)
        odds = cell_odds(self.cells, pieces, scores)
        return assemble_in_cells(scores, odds, pieces.shape, pieces.blank)
