"""Attackers on encrypted images: what leaks, measured by strong attackers."""
from mmppvit.attacks.attackers.interface import (
    Attacker,
    Budget,
    BudgetExceeded,
    Pair,
    Reconstruction,
)

__all__ = ['Attacker', 'Budget', 'BudgetExceeded', 'Pair', 'Reconstruction']
