"""How much this machine can train in the time there is."""
from __future__ import annotations

__all__ = ['choose_epochs']

FEWEST, MOST = 2, 36  # epochs
SCORING = 1.2  # epochs' worth of time that start-up and evaluation take


def choose_epochs(step: float, steps_per_epoch: int, seconds: float) -> int:
    """Whole epochs that fit into ``seconds``, their start-up and evaluation included.

    Args:
        step (float): Seconds of a training step.
        steps_per_epoch (int): How many make an epoch.
        seconds (float): That there are for training.
    """
    fit = seconds / (step * steps_per_epoch) - SCORING
    return int(min(max(fit, FEWEST), MOST))
