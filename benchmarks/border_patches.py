"""How many patches of the border an attacker finds among shuffled ones, by how they were padded.

    python benchmarks/border_patches.py $MMPPVIT_DATA/coco_mini/val2017 --num 40

A patch that was padded is taken to be found if it has a line of one value (black padding), or if
its last rows or columns mirror those before them exactly (mirrored padding). For each scheme and
padding the share of padded patches that are found, and of others that are taken for such.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

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


def padded_places(shape: tuple[int, int], count: int) -> np.ndarray:
    """(N, ) bool: which patches, row by row, are not of the image alone."""
    rows, columns = -(-shape[0] // SIDE), -(-shape[1] // SIDE)
    assert rows * columns == count
    padded = np.zeros((rows, columns), bool)
    padded[-1] |= shape[0] % SIDE > 0
    padded[:, -1] |= shape[1] % SIDE > 0
    return padded.ravel()


def patches_of(img: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) -> (N, side, side, 3), row by row."""
    height, width = img.shape[0] // side, img.shape[1] // side
    return img.reshape(height, side, width, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)


def measure(images: list[np.ndarray], scheme: Scheme, pad_val: float | str) -> None:
    """Print one line for each attacker."""
    found = {has_blank_line: [0, 0], is_mirrored: [0, 0]}
    total = [0, 0]
    for i, img in enumerate(images):
        encrypted = scheme.encrypt(img, KEY, f'{i}', pad_val)
        order = scheme.order(KEY, f'{i}', encrypted.nonce, encrypted.img.shape)
        patches = patches_of(encrypted.img, scheme.side)
        padded = padded_places(img.shape[:2], len(patches))[order]
        total[0] += int(padded.sum())
        total[1] += int((~padded).sum())
        for test, counts in found.items():
            seen = np.array([test(patch) for patch in patches])
            counts[0] += int((seen & padded).sum())
            counts[1] += int((seen & ~padded).sum())
    for test, counts in found.items():
        print(f'| {scheme.name} | {"black" if pad_val == 0 else "mirrored"} | {test.__name__} | '
              f'{counts[0]:,} of {total[0]:,} | {counts[1]:,} of {total[1]:,} |', flush=True)


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
        for pad_val in (0, 'mirror'):
            measure(images, scheme, pad_val)


if __name__ == '__main__':
    main()
