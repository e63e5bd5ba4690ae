"""How much of centered patches 8 bits keep, with and without a gain, and how much a gain clips.

    python benchmarks/gain_precision.py $MMPPVIT_DATA/bccd/images --size 512x384

The signal is the texture in floats: the mean of the sub-patches less the mean of the patch. The
error is what a reader of the file, who divides by the gain and takes the patch's mean away, has
instead of it.
"""
from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import cv2
import numpy as np

from mmppvit.attacks.attackers.jigsaw.pieces import undo_centering
from mmppvit.encryption import Scheme, pad_to_patches, split_patches
from mmppvit.encryption.mixing import sum_sub_patches

GAINS = (1., 2., 4., 8., 16.)
FIELDS = ('images', 'gain', 'deviation', 'deviation_stored', 'rmse', 'variance_lost', 'snr_db',
          'clipped', 'most_clipped')


def texture(img: np.ndarray, scheme: Scheme) -> np.ndarray:
    """float64 (N, s, s, C): exact, of whole patches."""
    sums = split_patches(sum_sub_patches(img, scheme.patch_size, scheme.grid), scheme.side)
    patches = sums.reshape(-1, *sums.shape[2:]) / scheme.grid**2
    return patches - patches.mean((1, 2), keepdims=True)


def measure(images: list[np.ndarray], gain: float, patch_size: int, grid: int) -> dict:
    """One row, of all images together."""
    scheme = Scheme('mix+center', patch_size, grid, 1., gain=gain)
    error = signal = stored = count = 0.
    clipped = []
    for img in images:
        img = pad_to_patches(img, patch_size, 'mirror')
        exact, sealed = texture(img, scheme), scheme.in_order(img)
        patches = split_patches(sealed, scheme.side).reshape(exact.shape)
        error += float(np.square(undo_centering(patches, scheme) - 128 - exact).sum())
        signal += float(np.square(exact).sum())
        stored += float(np.square(patches - 128.).sum())
        count += exact.size
        clipped.append(float(np.isin(sealed, (0, 255)).mean()))
    return dict(
        images=len(images), gain=gain, deviation=round((signal / count)**.5, 2),
        deviation_stored=round((stored / count)**.5, 2), rmse=round((error / count)**.5, 3),
        variance_lost=f'{error / signal:.2%}', snr_db=round(10 * np.log10(signal / error), 1),
        clipped=f'{np.mean(clipped):.3%}', most_clipped=f'{max(clipped):.2%}')


def read(folder: Path, num: int, size: str | None) -> list[np.ndarray]:
    """``num`` images spread over a folder, fitted into ``size``."""
    paths = [path for path in sorted(folder.rglob('*')) if path.suffix in ('.jpg', '.png')]
    chosen = np.unique(np.linspace(0, len(paths) - 1, num).round().astype(int))
    images = [cv2.imread(str(paths[i])) for i in chosen]
    if size is None:
        return images
    width, height = map(int, size.split('x'))
    factors = [min(width / img.shape[1], height / img.shape[0]) for img in images]
    return [cv2.resize(img, (round(img.shape[1] * f), round(img.shape[0] * f)))
            for img, f in zip(images, factors, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--num', type=int, default=60)
    parser.add_argument('--size', help='WIDTHxHEIGHT to fit images into; default: as they are')
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--grid', type=int, default=2)
    args = parser.parse_args()
    images = read(args.folder, args.num, args.size)
    writer = csv.DictWriter(sys.stdout, FIELDS)
    writer.writeheader()
    for gain in GAINS:
        writer.writerow(measure(images, gain, args.patch_size, args.grid))


if __name__ == '__main__':
    main()
