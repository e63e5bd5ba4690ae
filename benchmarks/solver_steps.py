"""Neighbors that learned solvers put right after so many steps, at a small size.

    python benchmarks/solver_steps.py $MMPPVIT_DATA/plates_ro --scheme shuffle

Images of the folder, drawn at random, are resized to ``--size``; the first ``--num`` are victims.
The solver learns ``--steps`` steps of neighbors and ``--places`` of places, however long that
takes, so that a busy machine gives the same numbers.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from jigsaw_sizes import SCHEMES, encrypted_pair

from mmppvit.attacks.attackers.interface import Budget
from mmppvit.attacks.attackers.jigsaw import JigsawLearned, JigsawTransformer, neighbor_accuracy
from mmppvit.attacks.scoring.image_metrics import bootstrap_interval

SOLVERS = {kind.name: kind for kind in (JigsawLearned, JigsawTransformer)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of JPEG images, searched with subfolders')
    parser.add_argument('--scheme', choices=SCHEMES, default='mix+center+shuffle')
    parser.add_argument('--solver', choices=SOLVERS, default='jigsaw-transformer')
    parser.add_argument('--size', type=lambda text: tuple(map(int, text.split('x'))),
                        default=(256, 192), metavar='WxH', help='whole patches of 16')
    parser.add_argument('--num', type=int, default=6, help='victims')
    parser.add_argument('--learn', type=int, default=100, help='other images')
    parser.add_argument('--steps', type=int, default=120, help='of neighbors')
    parser.add_argument('--places', type=int, default=120, help='of places, for the transformer')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    files = sorted(args.images.rglob('*.jpg'))
    if len(files) < args.num + 2:
        parser.error(f'{args.images} has {len(files)} JPEG images, {args.num + 2} are needed')
    chosen = np.random.default_rng(0).permutation(len(files))[:args.num + args.learn]
    scheme = SCHEMES[args.scheme]
    pairs = [encrypted_pair(files[k], scheme, args.size, cv2.INTER_AREA) for k in chosen]
    attacker = SOLVERS[args.solver](scheme, 0)
    attacker.fit_steps, attacker.max_steps = args.steps, args.places
    start = time.process_time()
    attacker.fit(pairs[args.num:], Budget())
    learned, start = time.process_time() - start, time.process_time()
    shape = args.size[1] // scheme.patch_size, args.size[0] // scheme.patch_size
    orders = [(attacker.reconstruct(pair.encrypted).order, pair.order)
              for pair in pairs[:args.num]]
    rights = [neighbor_accuracy(*both, shape) for both in orders]
    low, high = bootstrap_interval(rights)
    print(f'{args.solver} on {args.scheme}: neighbors {np.mean(rights):.3f} ({low:.3f} to '
          f'{high:.3f}), placed {np.mean([np.mean(a == b) for a, b in orders]):.3f}, error '
          f'{attacker.error:.2f}; CPU {learned:.0f} s of learning, '
          f'{(time.process_time() - start) / args.num:.1f} s an image')


if __name__ == '__main__':
    main()
