"""How many neighbors attackers put right at detection sizes, with time and memory.

    python benchmarks/jigsaw_sizes.py $MMPPVIT_DATA/coco_mini --out jigsaw_sizes.csv

The first ``--num`` images of the folder are stretched to ``--size``, encrypted by each scheme and
solved; attackers that learn do so for ``--seconds`` from the ``--learn`` images after them, and
``known-scene`` has a simulated second photograph of each. Every case runs in a process of its own,
of which peak memory and seconds of CPU time are measured; cases that the CSV has already are not
run again. ``itn`` looks for no order, so that only time and memory are told.
"""
from __future__ import annotations

import argparse
import csv
import multiprocessing
import resource
import time
from pathlib import Path

import cv2
import numpy as np

from mmppvit.attacks.attackers.catalogue import find_attackers
from mmppvit.attacks.attackers.interface import Attacker, Budget, Pair
from mmppvit.attacks.attackers.jigsaw import largest_component, neighbor_accuracy
from mmppvit.attacks.attackers.known_scene import photograph_again
from mmppvit.attacks.scoring.image_metrics import bootstrap_interval
from mmppvit.encryption import Key, Scheme, make_scheme

SCHEMES = {
    'shuffle': make_scheme('shuffle', grid=1),
    'downsample+shuffle': make_scheme('downsample+shuffle', grid=2),
    'mix+shuffle': make_scheme('mix+shuffle', grid=2),
    'mix+center+shuffle, strength 0.5': make_scheme('mix+center+shuffle', center_strength=.5),
    'mix+center+shuffle': make_scheme('mix+center+shuffle', center_strength=1.)}
SOLVERS = ('jigsaw-mgc', 'jigsaw-blind', 'jigsaw-learned')
OTHERS = ('jigsaw-transformer', 'vit', 'itn', 'known-scene')


def solve(scheme: str, solver: str, files: list[Path], args: argparse.Namespace) -> dict[str, str]:
    """One line of the table."""
    import torch
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    pairs = [encrypted_pair(file, SCHEMES[scheme], args.size) for file in files]
    attacker = find_attackers(solver)[solver](SCHEMES[scheme], 0)
    start = time.process_time()
    attacker.fit(_to_learn_from(attacker, pairs, args.num), Budget(args.seconds))
    learned, start = time.process_time() - start, time.process_time()
    orders = [(attacker.reconstruct(pair.encrypted).order, pair.order)
              for pair in pairs[:args.num]]
    solved = (time.process_time() - start) / args.num
    told = dict.fromkeys(('neighbors', 'low', 'high', 'largest', 'placed'), '')
    if orders[0][0] is not None:
        side = attacker.scheme.side
        shape = pairs[0].encrypted.shape[0] // side, pairs[0].encrypted.shape[1] // side
        rights = [neighbor_accuracy(*both, shape) for both in orders]
        parts = [largest_component(*both, shape) for both in orders]
        placed = [np.mean(found == true) for found, true in orders]
        told = dict(zip(told, (f'{value:.3f}' for value in (
            np.mean(rights), *bootstrap_interval(rights), np.mean(parts), np.mean(placed))),
            strict=True))
    return dict(
        scheme=scheme, solver=solver, patches=str(len(pairs[0].order)), images=str(args.num),
        **told, learning_s=f'{learned:.0f}', solving_s=f'{solved:.0f}',
        peak_gb=f'{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f}')


def _to_learn_from(attacker: Attacker, pairs: list[Pair], num: int) -> list[Pair]:
    if attacker.learns_from != 'scenes':
        return pairs[num:]
    return [Pair(pair.name, pair.encrypted, photograph_again(pair.plain, shift=(2, 1), seed=place))
            for place, pair in enumerate(pairs[:num])]


def encrypted_pair(file: Path, scheme: Scheme, size: tuple[int, int],
                   interpolation: int = cv2.INTER_LINEAR) -> Pair:
    """An image stretched to ``size``, (w, h), rounded up to whole patches; the key is all zeros."""
    side = scheme.patch_size
    plain = cv2.resize(cv2.imread(str(file)), tuple(-(-extent // side) * side for extent in size),
                       interpolation=interpolation)
    done = scheme.encrypt(plain, Key(bytes(32)), file.name)
    return Pair(file.name, done.img, plain, done.order)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of JPEG images, searched with subfolders')
    parser.add_argument('--num', type=int, default=4)
    parser.add_argument('--learn', type=int, default=40)
    parser.add_argument('--seconds', type=float, default=120, help='of learning')
    parser.add_argument('--size', type=lambda text: tuple(map(int, text.split('x'))),
                        default=(1333, 800), metavar='WxH')
    parser.add_argument('--schemes', nargs='+', choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument('--solvers', nargs='+', choices=(*SOLVERS, *OTHERS), default=list(SOLVERS))
    parser.add_argument('--out', type=Path, required=True, help='CSV file to write')
    args = parser.parse_args()
    files = sorted(args.images.rglob('*.jpg'))[:args.num + args.learn]
    if len(files) < args.num + 1:
        parser.error(f'{args.images} has {len(files)} JPEG images, {args.num + 1} are needed')
    rows = []
    if args.out.is_file():
        with args.out.open(newline='') as file:
            rows = list(csv.DictReader(file))
    done = {(row['scheme'], row['solver']) for row in rows}
    context = multiprocessing.get_context('spawn')
    for scheme in args.schemes:
        for solver in args.solvers:
            if (scheme, solver) in done:
                continue
            with context.Pool(1) as pool:
                rows.append(pool.apply(solve, (scheme, solver, files, args)))
            print(*rows[-1].values(), sep=', ', flush=True)
            with args.out.open('w', newline='') as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
                writer.writeheader()
                writer.writerows(rows)


if __name__ == '__main__':
    main()
