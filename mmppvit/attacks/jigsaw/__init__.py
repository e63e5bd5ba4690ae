"""Jigsaw solvers: attackers on the order of shuffled patches."""
from mmppvit.attacks.jigsaw.assembly import assemble
from mmppvit.attacks.jigsaw.attacker import JigsawBlind, JigsawLearned, JigsawMGC
from mmppvit.attacks.jigsaw.scores import (
    direct_placement,
    largest_component,
    neighbour_accuracy,
)

__all__ = [
    'JigsawBlind', 'JigsawLearned', 'JigsawMGC', 'assemble', 'direct_placement',
    'largest_component', 'neighbour_accuracy'
]
