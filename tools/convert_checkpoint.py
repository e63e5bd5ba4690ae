"""Make a checkpoint of another vision transformer one for PEViT or PEYOLOS.

    python tools/convert_checkpoint.py deit_tiny.pth pevit_tiny.safetensors \
        --source deit --target pevit
    python tools/convert_checkpoint.py yolos_ti.pth peyolos_tiny.pth \
        --source yolos --target peyolos --nonlinear-embed

Prints what became of every tensor; docs/checkpoints.md has a command for each pair.
"""
from __future__ import annotations

import argparse
import os

from mmppvit.cli.console import plain_errors
from mmppvit.models.checkpoints import (
    SOURCES,
    LoadReport,
    TableSizes,
    read_state_dict,
    reject_problems,
    to_pevit,
    to_peyolos,
    write_state_dict,
)

from rich.console import Console

SIZE = dict(nargs=2, type=int, metavar=('H', 'W'))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('src', help='checkpoint: .safetensors, or .pth that needs no pickle')
    parser.add_argument('dst', help='.safetensors or .pth to write; load_from takes .pth only')
    parser.add_argument('--source', required=True, choices=SOURCES, help='whose layout it has')
    parser.add_argument('--target', required=True, choices=['pevit', 'peyolos'])
    parser.add_argument('--patch-size', type=int, default=16, help='pixels of the plain image')
    parser.add_argument('--grid', type=int, default=2, help='1 for plain images')
    parser.add_argument('--nonlinear-embed', action='store_true',
                        help="the paper's embedding, with GELU and a 1x1 convolution")
    parser.add_argument('--allow-partial', action='store_true',
                        help='write what fits, though tensors are missing or unexpected')
    parser.add_argument('--force', action='store_true', help='replace DST')
    arch = parser.add_argument_group('architecture, inferred unless given')
    arch.add_argument('--arch', help='tiny, small or base')
    arch.add_argument('--embed-dims', type=int)
    arch.add_argument('--num-layers', type=int)
    arch.add_argument('--num-heads', type=int)
    peyolos = parser.add_argument_group('for --target peyolos; sizes are of the plain image')
    peyolos.add_argument('--init-size', **SIZE, help="of SRC's table of positions")
    peyolos.add_argument('--mid-init-size', **SIZE, help="of SRC's tables between blocks")
    peyolos.add_argument('--table-size', **SIZE, help='of the new table')
    peyolos.add_argument('--mid-table-size', **SIZE, help='of the new tables between blocks')
    peyolos.add_argument('--det-tokens', type=int, help='for a SRC without any; default 100')
    peyolos.add_argument('--classes', choices=['coco80', 'keep'],
                         help="COCO's 80 among a YOLOS' 92 logits, the default, or all")
    args = parser.parse_args()
    args.arch = _arch(args, parser)
    return args


def _arch(args: argparse.Namespace, parser: argparse.ArgumentParser) -> str | dict | None:
    sizes = {name: getattr(args, name) for name in ('embed_dims', 'num_layers', 'num_heads')}
    given = [name for name, value in sizes.items() if value is not None]
    if args.arch and given:
        parser.error('--arch says all that --embed-dims, --num-layers and --num-heads say')
    if given and len(given) < len(sizes):
        parser.error('--embed-dims, --num-layers and --num-heads go together')
    return sizes if given else args.arch


def check_files(src: str, dst: str, force: bool) -> None:
    """Raise before any work is done for what would fail at its end."""
    if not os.path.isfile(src):
        raise FileNotFoundError(f'no checkpoint {src}')
    if not dst.endswith(('.safetensors', '.pth')):
        raise ValueError(f'{dst} has to end in .safetensors or .pth')
    if os.path.exists(dst):
        if os.path.samefile(src, dst):
            raise ValueError('SRC and DST are the same file')
        if not force:
            raise FileExistsError(f'{dst} exists; choose another name, or --force')


def convert(args: argparse.Namespace) -> tuple[dict, LoadReport]:
    state = read_state_dict(args.src)
    common = dict(arch=args.arch, patch_size=args.patch_size, grid=args.grid,
                  nonlinear_embed=args.nonlinear_embed)
    if args.target == 'pevit':
        return to_pevit(state, args.source, **common)
    sizes = TableSizes(*(size and tuple(size) for size in (
        args.init_size, args.mid_init_size, args.table_size, args.mid_table_size)))
    return to_peyolos(state, args.source, **common, sizes=sizes, num_det_tokens=args.det_tokens,
                      classes=args.classes)


def main() -> None:
    args = parse_args()
    with plain_errors():
        check_files(args.src, args.dst, args.force)
        converted, report = convert(args)
        Console().print(report.table())
        if not args.allow_partial:
            reject_problems(report, f'{args.src} does not make a whole {args.target}',
                            'Give the --arch it was made for, or --allow-partial')
        write_state_dict(args.dst, converted)
    print(f'{args.dst}: {len(converted)} tensors, for a config with')
    for part, options in report.config.items():
        print(f'  {part}=dict({", ".join(f"{key}={value!r}" for key, value in options.items())})')
    arch = report.config['backbone']['arch']
    if 'num_heads' not in arch and isinstance(arch, dict):
        print('  where arch lacks what tensors do not show: add num_heads')


if __name__ == '__main__':
    main()
