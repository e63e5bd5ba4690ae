"""``mmppvit export``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit export work_dirs/protector/protector.safetensors protector.onnx
mmppvit export protector.safetensors protector.onnx --height 480 --width 640
mmppvit export CONFIG detector.onnx --checkpoint epoch_12.pth --height 400 --width 672
mmppvit export sealed/train for_yolo --to yolo
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('source', type=PathType())
@click.argument('out', type=PathType())
@click.option('--to', 'kind', type=click.Choice(['onnx', 'coco', 'yolo']), default='onnx',
              help='onnx (default) of a protector; coco or yolo of a sealed data set. YOLO needs '
              '`pip install "mmppvit[formats]"`.')
@click.option('--checkpoint', help='Of a one-stage detector: SOURCE is then its config.')
@click.option('--scale', metavar='WxH', help='Of a data set that was sealed at several.')
@click.option('--height', type=click.IntRange(1), help='Of all images, in pixels; default: any.')
@click.option('--width', type=click.IntRange(1), help='The same.')
@click.option('--float', 'as_float', is_flag=True,
              help='float32 (1, 3, H, W), RGB of range 0 to 1, in and out; not rounded.')
def command(source: Path, out: Path, kind: str, checkpoint: str | None, scale: str | None,
            height: int | None, width: int | None, as_float: bool) -> None:
    """Export a protector or a detector to ONNX, or a sealed data set for tools that know nothing of
    sealing.

    SOURCE is a protector.safetensors or a checkpoint of its training: the owner's machine then
    needs no PyTorch. Input and output are one image as OpenCV reads and writes it: uint8
    (H, W, 3), BGR. The result is compared with PyTorch's before the file is written.

    With --checkpoint, SOURCE is the config of a one-stage detector. Its input is an encrypted image
    of the given size, and the order of its patches if it is for shuffled ones; its outputs are
    those of the dense head, before NMS.

    With --to coco or yolo, SOURCE is a sealed data set and OUT a new folder: the same image files,
    and boxes where they are in these, in place of the frame of the plain images.
    Shuffled images are refused, as objects have no place in them.
    """
    if kind != 'onnx':
        if as_float or height or width or checkpoint:
            raise click.UsageError('--height, --width and --float are of protectors, --checkpoint '
                                   'is of detectors')
        from mmppvit.sealed.sealed_frame import export_sealed
        count = export_sealed(source, out, kind, scale)
        click.echo(f'{out}: {count} sealed images, boxes in their frame, as {kind}')
        return
    if scale is not None:
        raise click.UsageError('--scale is of sealed data sets: give --to coco or yolo')
    if checkpoint is not None:
        _export_detector(source, checkpoint, out, height, width, as_float)
        return
    _export_protector(source, out, height, width, as_float)


def _export_protector(protector: Path, out: Path, height: int | None, width: int | None,
                      as_float: bool) -> None:
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


def _export_detector(config: Path, checkpoint: str, out: Path, height: int | None,
                     width: int | None, as_float: bool) -> None:
    if height is None or width is None or as_float:
        raise click.UsageError('a detector needs --height and --width of its encrypted images, and '
                               'takes no --float')
    if out.suffix != '.onnx':
        raise click.UsageError(f'{out} has to end in .onnx')
    from mmengine.registry import init_default_scope

    from mmppvit.models.checkpoints import read_state_dict
    from mmppvit.models.detectors.detector_export import export_detector
    from mmppvit.utils.config_files import load_config
    cfg = load_config(str(config))
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    names, difference = export_detector(out, cfg.model, read_state_dict(checkpoint),
                                        (height, width))
    click.echo(f'{out}: {height}x{width}, {len(names)} outputs ({", ".join(names)}); differs from '
               f'PyTorch by {difference:.2g} of the largest value')
