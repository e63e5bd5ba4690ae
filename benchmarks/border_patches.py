"""How many patches of the border an attacker finds among shuffled ones, by how they were padded.

    python benchmarks/border_patches.py $MMPPVIT_DATA/coco_mini/val2017 --num 40

A patch that was padded is taken to be found if it has a line of one value (black padding), or if
its last rows or columns mirror those before them exactly (mirrored padding). For each scheme and
padding the share of padded patches that are found, and of others that are taken for such. With
padding ``fit`` images are rescaled to whole patches; what is looked for are the patches that would
have been padded. A third attacker has learned on the first half of the images, whose order it
knows, by boosted trees on what each line and column of a patch is like, and judges the second half:
the area under its ROC curve, .5 by chance. ``none`` are images cut to whole patches, for which the
content alone can say what lay at the border.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import read_plain

KEY = Key(bytes(32))
SIDE = 16


def has_blank_line(patch: np.ndarray) -> bool:
    """Whether a row or column of (s, s, 3) has one value in each channel."""
    return bool((np.ptp(patch, 0) == 0).all(1).any() or (np.ptp(patch, 1) == 0).all(1).any())


def is_mirrored(patch: np.ndarray) -> bool:
    """Whether the last rows or columns are the ones before them, in reverse."""
    for turned in (patch, patch.transpose(1, 0, 2)):
        for k in range(1, len(turned) // 2 + 1):
            end, before = turned[-k:], turned[-2 * k:-k][::-1]
            if (end == before).all():
                return True
    return False


def padded_places(shape: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: which patches are not of the image alone."""
    padded = np.zeros((-(-shape[0] // SIDE), -(-shape[1] // SIDE)), bool)
    padded[-1] |= shape[0] % SIDE > 0
    padded[:, -1] |= shape[1] % SIDE > 0
    return padded


def patches_of(img: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) -> (N, side, side, 3), row by row."""
    height, width = img.shape[0] // side, img.shape[1] // side
    return img.reshape(height, side, width, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)


def line_features(patch: np.ndarray) -> np.ndarray:
    """Steps between neighboring lines and their spread, of rows and of columns; no position."""
    found = []
    for turned in (patch.astype(float), patch.transpose(1, 0, 2).astype(float)):
        steps = np.abs(np.diff(turned, axis=0)).mean((1, 2))
        found += [*steps, *turned.std((1, 2)), *(steps / (steps.mean() + .5))]
        found += [np.abs(turned[-k:] - turned[-2 * k:-k][::-1]).mean()
                  for k in range(1, len(turned) // 2 + 1)]
    return np.array(found)


def encrypt(img: np.ndarray, scheme: Scheme, padding: str, name: str
            ) -> tuple[np.ndarray, np.ndarray]:
    """Patches of (N, s, s, 3) in their shuffled order, and which lay where padding would be."""
    padded = padded_places(img.shape[:2])
    if padding == 'none':
        img = img[:img.shape[0] // SIDE * SIDE, :img.shape[1] // SIDE * SIDE]
        padded = np.zeros((img.shape[0] // SIDE, img.shape[1] // SIDE), bool)
        padded[-1] = padded[:, -1] = True
    elif padding == 'fit':
        size = tuple(SIDE * round(side / SIDE) for side in img.shape[1::-1])
        img = cv2.resize(img, size)
        assert padded.shape == (size[1] // SIDE, size[0] // SIDE)
    encrypted = scheme.encrypt(img, KEY, name, 'mirror' if padding == 'mirror' else 0)
    order = scheme.order(KEY, name, encrypted.nonce, encrypted.img.shape)
    return patches_of(encrypted.img, scheme.side), padded.ravel()[order]


def measure(images: list[np.ndarray], scheme: Scheme, padding: str) -> None:
    """Print one line for each attacker."""
    sets = [encrypt(img, scheme, padding, f'{i}') for i, img in enumerate(images)]
    padded = np.concatenate([truth for _, truth in sets])
    for test in (has_blank_line, is_mirrored):
        seen = np.array([test(patch) for patches, _ in sets for patch in patches])
        print(f'| {scheme.name} | {padding} | {test.__name__} | '
              f'{(seen & padded).sum():,} of {padded.sum():,} | '
              f'{(seen & ~padded).sum():,} of {(~padded).sum():,} |', flush=True)
    features = np.array([line_features(patch) for patches, _ in sets for patch in patches])
    known = sum(len(truth) for _, truth in sets[:len(sets) // 2])
    learned = HistGradientBoostingClassifier(random_state=0).fit(features[:known], padded[:known])
    area = roc_auc_score(padded[known:], learned.predict_proba(features[known:])[:, 1])
    print(f'| {scheme.name} | {padding} | learned | area {area:.3f} | |', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--num', type=int, default=40)
    parser.add_argument('--size', type=int, nargs=2, default=(250, 186), metavar=('W', 'H'))
    args = parser.parse_args()
    paths = sorted(path for path in args.folder.iterdir() if path.suffix in ('.jpg', '.png'))
    images = [cv2.resize(read_plain(path).img, tuple(args.size), interpolation=cv2.INTER_AREA)
              for path in paths[:args.num]]
    print('| scheme | padding | looked for | padded patches found | others taken for such |')
    print('|---|---|---|---|---|')
    for scheme in (Scheme('shuffle', SIDE, 1), Scheme('mix+shuffle', SIDE, 2),
                   Scheme('mix+center+shuffle', SIDE, 2, 1.)):
        for padding in ('black', 'mirror', 'fit', 'none'):
            measure(images, scheme, padding)


if __name__ == '__main__':
    main()
