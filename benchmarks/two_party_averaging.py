"""What averages out: a defense against a host that sees each image in many epochs.

    mmppvit host --insecure --record received.bin     # and a training without a defense
    python benchmarks/two_party_averaging.py received.bin CONFIG --epochs 5 20 100

The mean recorded gradient of each image stands for that of every epoch, which is the worst case:
only what the defense draws anew changes. Prints the share of neighbors that the best attacker by
gradients alone finds, beside patches alone and chance.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from mmppvit.attacks.host_view.host_neighbors import score_neighbors
from mmppvit.attacks.host_view.host_recording import SeenImage, read_recording
from mmppvit.attacks.host_view.host_truth import true_images
from mmppvit.two_party.defenses import GradientDefense
from mmppvit.utils.config_files import load_config

DEFENSES = (dict(group=4), dict(group=16), dict(group=64), dict(drop=.75), dict(clip=1., noise=4.),
            dict(clip=1., noise=16.))


def repeated(image: SeenImage, defense: GradientDefense, epochs: int) -> SeenImage:
    """The image after so many epochs with its gradient."""
    rows = torch.from_numpy(image.directions).float()
    count, dims = rows.shape
    seen = SeenImage(image.patches, np.zeros((count, count)), np.zeros(count),
                     np.zeros((count, dims)))
    for _ in range(epochs):
        seen.add(defense(rows, [rows]).double().numpy())
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('recording', type=Path)
    parser.add_argument('config')
    parser.add_argument('--epochs', type=int, nargs='+', default=[5, 20, 100])
    parser.add_argument('--images', type=int, default=40)
    args = parser.parse_args()
    found, truth = read_recording(args.recording), true_images(load_config(args.config))
    names = sorted(set(found) & set(truth))[:args.images]
    for options in DEFENSES:
        for epochs in args.epochs:
            defense = GradientDefense(**options, seed=0)
            seen = [repeated(found[name], defense, epochs) for name in names]
            scores = score_neighbors(seen, [truth[name] for name in names], 0)
            best = max(row['gradients'] for row in scores.values())
            row = scores['neighbors']
            print(f'{options}, {epochs} epochs: {best:.3f} (patches alone {row["patches"]:.3f}, '
                  f'chance {row["chance"]:.3f})', flush=True)


if __name__ == '__main__':
    main()
