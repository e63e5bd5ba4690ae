"""``mmppvit repair``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.cmd_seal import as_text, describe, make_job
from mmppvit.cli.cmd_seal import command as seal
from mmppvit.cli.options import Command

EXAMPLES = """
mmppvit repair --img-dir images --ann boxes.json --out sealed/train \\
    --scheme mix+center+shuffle --key-file owner.key --counter 4    # the options of seal
"""


def run(source_format: str, img_dir: Path, ann: Path | None, num_workers: int, as_json: bool,
        **options) -> int:
    """Make a sealed data set whole whose manifest or files are lost or damaged.

    Options are those of ``mmppvit seal`` with which it was made. Every image is derived again from
    its plain one; a file with the very bytes is kept, any other is written anew. A lost manifest
    takes its counter along: give --counter, above what others have seen.
    """
    from mmppvit.annotations.other_formats import coco_file
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed.repair import repair_dataset
    with coco_file(source_format, img_dir, ann) as path:
        job = make_job(shard='0/1', img_dir=img_dir, ann=path, **options)
        with progress_bar('Repairing') as progress:
            report = repair_dataset(job, num_workers, progress)
    click.echo(as_text(job, report) if as_json else describe(job, report))
    return int(bool(report.skipped))


def _with_key_source(**options) -> int:
    from mmppvit.encryption.key_sources import KeySource
    names = ('key_file', 'key_command', 'key_fd', 'passphrase_command')
    return run(key_source=KeySource(*(options.pop(name) for name in names)), **options)


command = Command(
    'repair', examples=EXAMPLES, callback=_with_key_source, help=run.__doc__,
    params=[param for param in seal.params if param.name not in (
        'resume', 'dry_run', 'shard', 'container', 'update', 'remove', 'engine',
        'engine_address')])
