"""Seal a COCO data set, or a folder of images: encrypted files that can be handed over.

    python tools/encrypt_dataset.py --ann ANN.json --img-dir DIR --out SEALED --scheme mix

The result is a folder of lossless images with a COCO json (boxes stay in the plain frame, links
and dates are left out) and manifest.json. Whatever interrupts it, the same command with --resume
goes on. Exit status 0: all is sealed; 1: some images were skipped, see the list; 2: nothing was
done.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmppvit.cli.console import parse_size, plain_errors, progress_bar
from mmppvit.encryption import BASELINES, LEARNED, SCHEMES, Key, Scheme, make_scheme
from mmppvit.sealed import SealJob, SealReport, seal_dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--img-dir', type=Path, required=True, help='folder of the plain images')
    parser.add_argument('--ann', type=Path,
                        help='COCO json; without it, every image below --img-dir is sealed')
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument('--scheme', choices=(*SCHEMES, LEARNED, *BASELINES), required=True,
                        help='%(choices)s; from blur on they are there to be compared with')
    parser.add_argument('--protector', type=Path, help='of scheme learned: the network, a '
                        'protector.safetensors or a checkpoint of its training')
    parser.add_argument('--patch-size', type=int, help='pixels; default 16, and 1 for learned, '
                        'whose images then keep their size')
    parser.add_argument('--grid', type=int, help='sub-patches per side, or the factor of '
                        'downsampling; default 2 for schemes that mix or downsample')
    parser.add_argument('--strength', type=float, default=0.,
                        help='of blur and noise sigma, in pixels and levels; of pixelate the side '
                        'of a block in pixels')
    parser.add_argument('--center-strength', type=float,
                        help='share of the mean to take away; default 1 for schemes that center')
    parser.add_argument('--normalize', action='store_true',
                        help='of centered patches, bring the contrast to one level, too')
    parser.add_argument('--erode', type=int, default=0,
                        help='pixels to cut away around each shuffled patch; default %(default)s')
    parser.add_argument('--drop', type=float, default=0.,
                        help='share of the shuffled patches to blank; default %(default)s')
    parser.add_argument('--key-file', type=Path, help='for schemes that shuffle: see keygen.py')
    parser.add_argument('--scale', nargs='+', default=[], metavar='WxH',
                        help='fit images into this size, as Resize(keep_ratio=True) does; '
                        'several for multi-scale training; default: as they are')
    parser.add_argument('--format', choices=['png', 'webp'], default='png',
                        help='both lossless: png is stored, fast to write and read; webp is half '
                        'as large and very slow to write')
    parser.add_argument('--num-workers', type=int, default=0, help='processes; default: none')
    parser.add_argument('--shard', default='0/1', metavar='i/n',
                        help='seal the i-th of n parts, counted from 0; the last to finish writes '
                        'the manifest')
    parser.add_argument('--resume', action='store_true', help='go on with an interrupted run')
    return parser.parse_args()


def choose_scheme(args: argparse.Namespace) -> Scheme:
    if args.scheme == LEARNED:
        return choose_learned(args)
    if args.protector is not None:
        raise ValueError(f'scheme {args.scheme} has no protector: leave --protector out, or choose '
                         '--scheme learned')
    grid, strength = args.grid, args.center_strength
    if grid is None:
        grid = 2 if 'mix' in args.scheme or 'downsample' in args.scheme else 1
    if strength is None:
        strength = 1. if 'center' in args.scheme else 0.
    patch_size = 16 if args.patch_size is None else args.patch_size
    return make_scheme(
        args.scheme, patch_size=patch_size, grid=grid, center_strength=strength,
        normalize=args.normalize, erode=args.erode, drop=args.drop, strength=args.strength)


def choose_learned(args: argparse.Namespace) -> Scheme:
    if args.protector is None:
        raise ValueError('scheme learned needs --protector: the protector.safetensors, or a '
                         'checkpoint, of a training in configs/protection/')
    given = [name for name in ('grid', 'strength', 'center_strength', 'normalize', 'erode', 'drop')
             if getattr(args, name)]
    if given:
        raise ValueError(f'scheme learned has no --{given[0].replace("_", "-")}: leave it out')
    from mmppvit.models.protectors.protector_scheme import (
        learned_scheme,  # needs PyTorch, and the others do not
    )
    return learned_scheme(args.protector, 1 if args.patch_size is None else args.patch_size)


def make_job(args: argparse.Namespace) -> SealJob:
    scheme = choose_scheme(args)
    shard, _, shards = args.shard.partition('/')
    if not (shard.isdecimal() and shards.isdecimal()):
        raise ValueError(f'--shard {args.shard}: write it as i/n, e.g. 0/4')
    return SealJob(
        img_dir=args.img_dir, out=args.out, scheme=scheme, ann_file=args.ann,
        key=args.key_file and Key.load(args.key_file),
        scales=tuple(map(parse_size, args.scale)) or (None, ), image_format=args.format,
        shard=(int(shard), int(shards)))


def print_report(report: SealReport, job: SealJob) -> None:
    print(f'{job.out}: {report.written} files written, {report.kept} kept from before, '
          f'{len(report.skipped)} images skipped')
    for name, reason in report.skipped:
        print(f'  skipped {name}: {reason}')
    if report.dropped_fields:
        print(f'  left out of the json: {", ".join(report.dropped_fields)}')
    if not report.complete:
        print('  other shards are not through: there is no manifest yet')
    elif report.skipped:
        print('  The data set is complete without them. Mend them and --resume to add them.')


def main() -> None:
    args = parse_args()
    with plain_errors():
        job = make_job(args)
        with progress_bar('Sealing') as progress:
            report = seal_dataset(job, args.resume, args.num_workers, progress)
    print_report(report, job)
    sys.exit(1 if report.skipped else 0)


if __name__ == '__main__':
    main()
