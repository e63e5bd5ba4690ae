"""What attackers put back of centered and shuffled patches, with and without a gain.

    python benchmarks/gain_leaks.py $MMPPVIT_DATA/coco_mini --gain 4 --solver jigsaw-learned

The images of a folder are fitted into ``--size`` in whole patches, drawn by ``--seed``: ``--num``
victims and ``--learn`` others. The learned solver takes ``--steps`` steps whatever the time, so
that the figures are the same on a busy machine. ``known-scene`` has a second photograph of each
view (exposure, noise of 4 levels, JPEG of quality 75), and ``none`` looks at the sealed image as it
is. All gains have the same images, keys and draws.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

from mmppvit.attacks.attackers.interface import Budget, Pair, Reconstruction
from mmppvit.attacks.attackers.jigsaw import JigsawBlind, JigsawLearned, JigsawMGC
from mmppvit.attacks.attackers.known_scene import match_scene, photograph_again
from mmppvit.attacks.scoring.scores import as_it_is, score_reconstructions
from mmppvit.encryption import Key, Scheme, unshuffle_patches

SOLVERS = {kind.name: kind for kind in (JigsawMGC, JigsawBlind, JigsawLearned)}


def read(path: Path, size: tuple[int, int], patch: int) -> np.ndarray:
    """A plain image, fitted into ``size`` in whole patches."""
    img = cv2.imread(str(path))
    factor = min(size[0] / img.shape[1], size[1] / img.shape[0])
    shape = (max(round(side * factor / patch), 1) * patch for side in img.shape[1::-1])
    return cv2.resize(img, tuple(shape))


def make_pairs(paths: list[Path], scheme: Scheme, size: tuple[int, int], key: Key) -> list[Pair]:
    pairs = []
    for path in paths:
        plain = read(path, size, scheme.patch_size)
        done = scheme.encrypt(plain, key, path.name)
        pairs.append(Pair(path.name, done.img, plain, done.order))
    return pairs


def by_scene(scheme: Scheme, pair: Pair, seed: int) -> Reconstruction:
    """Patches where a second photograph of the view has them."""
    scene = photograph_again(pair.plain, seed=seed)
    order = match_scene(scheme, pair.encrypted, scene).order
    img = unshuffle_patches(pair.encrypted, scheme.side, order)
    return Reconstruction(cv2.resize(img, pair.plain.shape[1::-1], interpolation=cv2.INTER_CUBIC),
                          order)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--gain', type=float, default=1.)
    parser.add_argument('--solver', choices=[*SOLVERS, 'known-scene', 'none'],
                        default='jigsaw-blind')
    parser.add_argument('--num', type=int, default=20)
    parser.add_argument('--learn', type=int, default=120)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--size', type=lambda text: tuple(map(int, text.split('x'))),
                        default=(320, 320), metavar='WxH')
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--grid', type=int, default=2)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    import torch
    torch.set_num_threads(1)
    scheme = Scheme('mix+center+shuffle', args.patch_size, args.grid, 1., gain=args.gain)
    paths = [path for path in sorted(args.folder.rglob('*')) if path.suffix in ('.jpg', '.png')]
    paths = [paths[i] for i in np.random.default_rng(args.seed).permutation(len(paths))]
    victims = make_pairs(paths[:args.num], scheme, args.size, Key(bytes(32)))
    if args.solver == 'none':
        made = [as_it_is(pair) for pair in victims]
    elif args.solver == 'known-scene':
        made = [by_scene(scheme, pair, seed) for seed, pair in enumerate(victims)]
    else:
        attacker = SOLVERS[args.solver](scheme, args.seed)
        if args.solver == JigsawLearned.name:
            others = paths[args.num:args.num + args.learn]
            attacker.fit_steps = args.steps
            attacker.fit(make_pairs(others, scheme, args.size, Key(bytes(31) + b'1')), Budget())
        made = [attacker.reconstruct(pair.encrypted) for pair in victims]
    scores = score_reconstructions(scheme, victims, made)
    print(json.dumps(dict(
        folder=args.folder.name, gain=args.gain, solver=args.solver,
        cpu_s=round(time.process_time()), **{name: scores.get(name) for name in (
            'neighbors', 'placed', 'reidentified', 'ssim')})))


if __name__ == '__main__':
    main()
