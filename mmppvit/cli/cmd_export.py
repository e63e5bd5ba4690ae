"""``mmppvit export``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit export work_dirs/protector/protector.safetensors protector.onnx
mmppvit export protector.safetensors protector.onnx --height 480 --width 640
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('protector', type=PathType())
@click.argument('out', type=PathType())
@click.option('--height', type=click.IntRange(1), help='Of all images, in pixels; default: any.')
@click.option('--width', type=click.IntRange(1), help='The same.')
@click.option('--float', 'as_float', is_flag=True,
              help='float32 (1, 3, H, W), RGB of range 0 to 1, in and out; not rounded.')
def command(protector: Path, out: Path, height: int | None, width: int | None,
            as_float: bool) -> None:
    """Export a protector to ONNX, for the owner's machine, which then needs no PyTorch.

    PROTECTOR is a protector.safetensors, or a checkpoint of its training. Input and output are one
    image as OpenCV reads and writes it: uint8 (H, W, 3), BGR. The result is compared with PyTorch's
    before the file is written.
    """
    if (height is None) != (width is None):
        raise click.UsageError('give both --height and --width, or neither for images of any size')
    if out.suffix != '.onnx':
        raise click.UsageError(f'{out} has to end in .onnx')
    from mmppvit.models.protectors import load_protector
    from mmppvit.models.protectors.onnx_export import export_onnx
    size = None if height is None else (height, width)
    difference = export_onnx(out, load_protector(protector), size, as_float)
    frame = 'any size' if size is None else f'{height}x{width}'
    click.echo(f'{out}: {frame}; differs from PyTorch by {difference:.3g} levels of 255 at most')
