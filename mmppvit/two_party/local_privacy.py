"""What noise on gradients promises: local differential privacy of a token's gradients."""
from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr

__all__ = ['gaussian_epsilon', 'token_epsilon']


def token_epsilon(noise: float, dims: int, steps: int, delta: float = 1e-5, tokens: int = 1
                  ) -> float:
    """Epsilon of the gradients of ``tokens`` tokens over ``steps`` steps.

    Any two sequences of gradients that these tokens could have had are
    (epsilon, delta)-indistinguishable to the host: each is clipped to norm C, so that two differ by
    at most 2 C, and gets Gaussian noise of ``noise`` * C / sqrt(dims) per entry. This is local
    differential privacy of what is sent, with ``clip`` and ``absolute=True`` in
    :class:`GradientDefense`. It is no statement on a box: that changes the gradients of many
    tokens, and through the owner's head, which learns without noise, those of later steps.

    Args:
        noise (float): As in :class:`GradientDefense`.
        dims (int): Entries of a gradient.
        steps (int): In which the tokens get gradients: epochs, if no image comes twice in one.
        delta (float): See above.
        tokens (int): How many together, e.g. those of a box.
    """
    return gaussian_epsilon(2 * math.sqrt(tokens * steps * dims) / noise, delta)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Smallest epsilon of a Gaussian mechanism with sensitivity / deviation = ``mu``.

    Exact (Balle and Wang, ICML 2018, theorem 8); T mechanisms one after the other are one with
    ``mu`` * sqrt(T) (Dong, Roth and Su, 2022, corollary 3.3).
    """
    if mu <= 0 or not 0 < delta < 1:
        raise ValueError(f'mu={mu} must be positive and delta={delta} in 0 to 1')

    def excess(epsilon: float) -> float:
        second = math.exp(min(epsilon + float(log_ndtr(-epsilon / mu - mu / 2)), 0.))
        return float(ndtr(mu / 2 - epsilon / mu)) - second - delta

    if excess(0.) <= 0:
        return 0.
    return float(brentq(excess, 0., mu * mu + 20 * mu + 1, xtol=1e-9))
