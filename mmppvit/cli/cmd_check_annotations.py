"""``mmppvit check-annotations``."""
from __future__ import annotations

import json
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit check-annotations instances_train.json instances_val.json
mmppvit check-annotations instances_train.json --img-dir train2017   # and the images, too
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('ann', nargs=-1, required=True, type=PathType())
@click.option('--img-dir', type=PathType(),
              help='Folder of the images: whether they are there and whole, and whether boxes were '
              'drawn for their size and EXIF turn.')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
def command(ann: tuple[Path, ...], img_dir: Path | None, as_json: bool) -> int:
    """Say what is wrong with COCO jsons.

    Everything is reported at once, with counts and the first place: what makes a file unusable
    (refused), what sealing and training correct by themselves (corrected), and what MMDetection or
    pycocotools pass over in silence (noted). Nothing is written. Exit status 0: all can be used;
    1: some cannot.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed.check_images import check_with_images
    with progress_bar('Checking') as progress:
        reports = [check_with_images(path, img_dir, progress) for path in ann]
    if as_json:
        click.echo(json.dumps({report.name: dict(
            usable=not report.refused, **report.counts, findings=[
                dict(action=finding.action, what=finding.what, count=finding.count,
                     first=finding.first) for finding in report.findings])
            for report in reports}, indent=1))
    else:
        click.echo('\n'.join(line for report in reports for line in report.lines()))
    return int(any(report.refused for report in reports))
