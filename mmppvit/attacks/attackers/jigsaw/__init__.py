"""Jigsaw solvers: attackers on the order of shuffled patches."""
from mmppvit.attacks.attackers.jigsaw.assembly import assemble
from mmppvit.attacks.attackers.jigsaw.solvers import JigsawBlind, JigsawLearned, JigsawMGC
from mmppvit.attacks.attackers.jigsaw.transformer_solver import JigsawTransformer
from mmppvit.attacks.scoring.order_scores import (
    direct_placement,
    largest_component,
    neighbor_accuracy,
)

__all__ = [
    'JigsawBlind', 'JigsawLearned', 'JigsawMGC', 'JigsawTransformer', 'assemble',
    'direct_placement', 'largest_component', 'neighbor_accuracy'
]
