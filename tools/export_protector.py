"""Export a protector to ONNX, for the owner's machine, which then needs no PyTorch.

    python tools/export_protector.py work_dirs/protector/protector.safetensors protector.onnx

Input and output are one image as OpenCV reads and writes it: uint8 (H, W, 3), BGR. The result is
compared with PyTorch's before the file is written.
"""
from __future__ import annotations

import argparse
from pathlib import Path

from mmppvit.cli.console import plain_errors
from mmppvit.models.protectors import load_protector
from mmppvit.models.protectors.onnx_export import export_onnx


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('protector', type=Path,
                        help='protector.safetensors, or a checkpoint of its training')
    parser.add_argument('out', type=Path, help='the file to write, .onnx')
    parser.add_argument('--height', type=int, help='of all images, in pixels; default: any')
    parser.add_argument('--width', type=int)
    parser.add_argument('--float', action='store_true', dest='as_float',
                        help='float32 (1, 3, H, W), RGB of range 0 to 1, in and out; not rounded')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with plain_errors():
        if (args.height is None) != (args.width is None):
            raise ValueError('give both --height and --width, or neither for images of any size')
        if args.out.suffix != '.onnx':
            raise ValueError(f'{args.out} has to end in .onnx')
        size = None if args.height is None else (args.height, args.width)
        difference = export_onnx(args.out, load_protector(args.protector), size, args.as_float)
    frame = 'any size' if size is None else f'{args.height}x{args.width}'
    print(f'{args.out}: {frame}; differs from PyTorch by {difference:.3g} levels of 255 at most')


if __name__ == '__main__':
    main()
