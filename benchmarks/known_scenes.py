"""How much another photograph of the same view, or another sealed frame, gives away.

    python benchmarks/known_scenes.py $MMPPVIT_DATA/coco_mini/val2017 --out known_scenes.csv
    python benchmarks/known_scenes.py $MMPPVIT_DATA/plates_ro/images --drives 2

Second photographs and frames are simulated from the first ``--num`` images of a folder, resized to
``--size`` pixels. For each scheme the mean share of patches that are put in their place. With
``--drives`` nothing is simulated: files are frames ``DRIVE_tSECOND.jpg``, and the attacker has the
frame before in plain, if it is at most so many seconds older; images are resized to 448x256.
"""
from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from mmppvit.attacks.attackers.known_scene import match_frames, match_scene, photograph_again
from mmppvit.encryption import Key, Scheme

KEY = Key(bytes(32))
_QUIET = 11.  # levels that frames differ by, of a car that stands
EXACT = dict(gain=1., offset=0., noise=0., quality=0)
# What the attacker has: arguments of photograph_again, and the shifts that it tries.
SCENES = {
    'same view: exposure, noise 4, JPEG 75': ({}, 0),
    'the same, camera moved by 2 and 2 px': (dict(shift=(2, 2)), 0),
    'the same, moved by 2 and 2 px, all shifts up to 3 px tried': (dict(shift=(2, 2)), 3),
    'the same, moved by 6 and 6 px': (dict(shift=(6, 6)), 0),
    'the image itself as JPEG of quality 90': (EXACT | dict(quality=90), 0),
    'the image itself with noise of 8 levels': (EXACT | dict(noise=8.), 0),
    'the image itself, moved by 1 and 1 px': (EXACT | dict(shift=(1, 1)), 0),
}


def schemes(patch_size: int) -> list[Scheme]:
    return [Scheme('shuffle', patch_size, 1), Scheme('mix+shuffle', patch_size, 2),
            Scheme('mix+center+shuffle', patch_size, 2, 1.),
            Scheme('mix+center+shuffle', patch_size, 2, 1., normalize=True),
            Scheme('mix+center+shuffle', patch_size, 4, 1.)]


def share_of_scene(scheme: Scheme, images: list[np.ndarray], change: dict, reach: int) -> float:
    """Mean share of patches placed by a second photograph of each image."""
    shares = []
    for seed, img in enumerate(images):
        encrypted = scheme.encrypt(img, KEY, str(seed))
        scene = photograph_again(img, **change, seed=seed)
        shares.append((match_scene(scheme, encrypted.img, scene, reach).order
                       == encrypted.order).mean())
    return float(np.mean(shares))


def share_of_frames(scheme: Scheme, images: list[np.ndarray], noise: float) -> float:
    """Mean share of the patches that stand still and are matched between two sealed frames.

    A quarter of the height and width of the next image moves over each image.
    """
    side, shares = images[0].shape[0] // 4, []
    rows = slice(3 * side // 2, 5 * side // 2)
    for seed, img in enumerate(images):
        frames = []
        for place in (side // 4, 2 * side):
            frame = img.copy()
            frame[rows, place:place + side] = images[(seed + 1) % len(images)][:side, :side]
            frames.append(photograph_again(frame, 1., 0., noise, 90, seed=seed + place))
        first, second = (scheme.encrypt(frame, KEY, str(i)) for i, frame in enumerate(frames))
        match = match_frames(scheme, first.img, second.img)
        still = np.ones((img.shape[0] // scheme.patch_size, ) * 2, bool)
        still[rows.start // scheme.patch_size:-(-rows.stop // scheme.patch_size)] = False
        still = still.reshape(-1)[second.order]
        shares.append((first.order[match] == second.order)[still].mean())
    return float(np.mean(shares))


def neighboring_frames(folder: Path, seconds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of frames of one drive, the earlier one first."""
    files = sorted((file for file in folder.glob('*.jpg') if _drive_and_second(file)),
                   key=_drive_and_second)
    pairs = []
    for first, second in pairwise(files):
        (drive, start), (other, end) = map(_drive_and_second, (first, second))
        if drive == other and end - start <= seconds:
            pairs.append(tuple(cv2.resize(cv2.imread(str(file)), (448, 256),
                                          interpolation=cv2.INTER_AREA)
                               for file in (first, second)))
    return pairs


def _drive_and_second(file: Path) -> tuple[str, int] | None:
    found = re.fullmatch(r'(.+)_t(\d+)', file.stem)
    return (found[1], int(found[2])) if found else None


def print_frames(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Shares of each scheme, apart for frames that hardly differ: the car stands."""
    moved = np.array([np.abs(np.subtract(*map(np.float32, pair))).mean() for pair in pairs])
    quiet = moved < _QUIET
    print(f'{len(pairs)} pairs of frames, of {quiet.sum()} the car stands')
    for scheme in schemes(16):
        label = f'{scheme.name} g{scheme.grid}' + ' normalized' * scheme.normalize
        shares = np.array([_shares_of_pair(scheme, *pair, str(seed))
                           for seed, pair in enumerate(pairs)])
        for has, share in zip(('the frame before in plain', 'both frames sealed'), shares.T,
                              strict=True):
            for when, part in (('stands', share[quiet]), ('moves', share[~quiet])):
                if len(part):
                    print(f'{label}, {has}, the car {when}: {part.min():.2f} to {part.max():.2f}, '
                          f'mean {part.mean():.3f}', flush=True)


def _shares_of_pair(scheme: Scheme, earlier: np.ndarray, later: np.ndarray, name: str
                    ) -> tuple[float, float]:
    """Patches of the later frame that are placed by the plain, and by the sealed earlier one."""
    first, second = (scheme.encrypt(img, KEY, name + part)
                     for img, part in ((earlier, 'a'), (later, 'b')))
    placed = match_scene(scheme, second.img, earlier, 2).order == second.order
    match = match_frames(scheme, first.img, second.img)
    return placed.mean(), (first.order[match] == second.order).mean()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of JPEG images')
    parser.add_argument('--num', type=int, default=12)
    parser.add_argument('--size', type=int, default=512, help='side in pixels')
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--out', type=Path, help='CSV file to write')
    parser.add_argument('--drives', type=int, metavar='SECONDS')
    args = parser.parse_args()
    if args.drives is not None:
        pairs = neighboring_frames(args.images, args.drives)
        if not pairs:
            parser.error(f'{args.images} has no two frames of one drive that are at most '
                         f'{args.drives} s apart')
        print_frames(pairs)
        return
    files = sorted(args.images.glob('*.jpg'))[:args.num]
    if len(files) < 2:
        parser.error(f'{args.images} has {len(files)} JPEG images, at least 2 are needed')
    images = [cv2.resize(cv2.imread(str(file)), (args.size, args.size)) for file in files]
    cases: dict[str, Callable[[Scheme], float]] = {
        name: lambda scheme, change=change, reach=reach: share_of_scene(
            scheme, images, change, reach) for name, (change, reach) in SCENES.items()}
    for noise in (2., 4.):
        cases[f'another sealed frame, noise {noise:g}: patches that stand still'] = \
            lambda scheme, noise=noise: share_of_frames(scheme, images, noise)
    rows = []
    for scheme in schemes(args.patch_size):
        label = f'{scheme.name} g{scheme.grid}' + ' normalized' * scheme.normalize
        for case, measure in cases.items():
            rows.append(dict(scheme=label, has=case, placed=f'{measure(scheme):.2f}'))
            print(*rows[-1].values(), sep=': ', flush=True)
    if args.out:
        with args.out.open('w', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows)


if __name__ == '__main__':
    main()
