"""Attackers on encrypted images: what leaks, measured by those who really try."""
from mmppvit.attacks.attackers.interface import Attacker, Budget, BudgetExceeded, Pair, Recovery

__all__ = ['Attacker', 'Budget', 'BudgetExceeded', 'Pair', 'Recovery']
