"""Figures for the report: what was reconstructed of the victims, between floor and ceiling."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import cv2
import numpy as np

from mmppvit.attacks.attackers.interface import Pair, Reconstruction
from mmppvit.attacks.attackers.jigsaw import direct_placement, largest_component, neighbor_accuracy
from mmppvit.attacks.scoring.image_metrics import psnr, reidentify, ssim, summarize
from mmppvit.encryption import Scheme

__all__ = ['COLUMNS', 'as_it_is', 'mean_image', 'score_reconstructions']

COLUMNS = [
    dict(key='ssim', title='SSIM', digits=3),
    dict(key='psnr', title='PSNR, dB', digits=1),
    dict(key='reidentified', title='re-identified', digits=2),
    dict(key='neighbors', title='neighbors right', digits=2),
    dict(key='component', title='largest part right', digits=2),
    dict(key='placed', title='patches in place', digits=2),
]


def score_reconstructions(scheme: Scheme, victims: Sequence[Pair],
                          reconstructions: Sequence[Reconstruction], seed: int = 0,
                          judges: Mapping[str, Callable[[Sequence[np.ndarray]], dict]] = {}
                          ) -> dict[str, dict]:
    """Scores by the keys of :data:`COLUMNS` and of the judges, each with mean, low and high.

    Columns also have 'worst' and 'worst_index', the image of which most was reconstructed: the
    worst case for the owner. Judges have none, as they score all images together.
    Re-identification names the ``matcher`` that found most. Scores of the order appear where the
    attacker gave one and the owner's key was at hand.

    Args:
        scheme (Scheme): Of the victims.
        victims (Sequence[Pair]): What was attacked.
        reconstructions (Sequence[Reconstruction]): One for each.
        seed (int): Of the bootstrap.
        judges (Mapping): By the key of their score, see
            :mod:`mmppvit.attacks.judges.judge_list`.
    """
    pairs = list(zip(victims, reconstructions, strict=True))
    imgs = [reconstruction.img for reconstruction in reconstructions]
    found = reidentify([victim.plain for victim in victims], imgs)
    scores = {
        'ssim': summarize([ssim(v.plain, r.img) for v, r in pairs], seed),
        'psnr': summarize([psnr(v.plain, r.img) for v, r in pairs], seed),
        'reidentified': found.summary(seed=seed),
    }
    ordered = [(v, r) for v, r in pairs if v.order is not None and r.order is not None]
    if ordered:
        for key, score in (('neighbors', neighbor_accuracy), ('component', largest_component),
                           ('placed', direct_placement)):
            scores[key] = summarize([
                score(r.order, v.order, _grid(scheme, v)) for v, r in ordered], seed)
    scores = {key: asdict(value) for key, value in scores.items()}
    scores['reidentified']['matcher'] = found.best
    return {**scores, **{key: judge(imgs) for key, judge in judges.items()}}


def _grid(scheme: Scheme, pair: Pair) -> tuple[int, int]:
    return pair.encrypted.shape[0] // scheme.side, pair.encrypted.shape[1] // scheme.side


def as_it_is(victim: Pair) -> Reconstruction:
    """No attack: the sealed image at the size of the plain one (bicubic), patches as they lie.

    What it scores, anybody has; an attacker that scores less did not work.
    """
    height, width = victim.plain.shape[:2]
    up = cv2.resize(victim.encrypted, (width, height), interpolation=cv2.INTER_CUBIC)
    return Reconstruction(up, None if victim.order is None else np.arange(len(victim.order)))


def mean_image(pairs: Sequence[Pair], size: tuple[int, int]) -> np.ndarray:
    """The floor: one image in place of all, the mean of the attacker's own.

    Args:
        pairs (Sequence[Pair]): The attacker's.
        size (tuple[int, int]): Height and width.

    Returns:
        ndarray: uint8 (H, W, 3).
    """
    total = np.zeros((*size, 3))
    for pair in pairs:
        total += cv2.resize(pair.plain, size[::-1], interpolation=cv2.INTER_AREA)
    return np.rint(total / len(pairs)).astype(np.uint8)
