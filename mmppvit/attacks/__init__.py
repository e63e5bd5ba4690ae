"""Attackers on encrypted pictures: what leaks, measured by those who really try."""
from mmppvit.attacks.attacker import Attacker, Budget, BudgetExceeded, Pair, Recovery

__all__ = ['Attacker', 'Budget', 'BudgetExceeded', 'Pair', 'Recovery']
