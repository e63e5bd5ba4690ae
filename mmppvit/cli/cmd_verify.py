"""``mmppvit verify``."""
from __future__ import annotations

import json
from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, key_options
from mmppvit.utils.printable import printable
from mmppvit.utils.remote_files import RemotePath

EXAMPLES = """
mmppvit verify sealed/train
mmppvit verify sealed/train --key-file owner.key --json
mmppvit verify sealed/train --key-file owner.key --expect cells --role train --at-least 3
mmppvit verify sealed/train --read-data-subset 1/7     # a seventh of the images, one a day
mmppvit verify s3://bucket/train --key-file owner.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('sealed', type=PathType(urls=True))
@click.option('--expect', metavar='NAME', help='The name that the data set must have.')
@click.option('--role', help='The role that it must have, such as train.')
@click.option('--at-least', type=click.IntRange(1), metavar='N',
              help='The lowest counter: older copies are refused.')
@click.option('--read-data-subset', 'subset', metavar='n/t|x%',
              help='Look into the n-th of t parts of the images, or a random share; of the others '
              'check that they are there.')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
@key_options
def command(sealed: Path, as_json: bool, key_source, expect: str | None, role: str | None,
            at_least: int | None, subset: str | None) -> int:
    """Check a sealed data set.

    Digests, counts, sizes, that files hold pixels and nothing else, and that no image is plain;
    with the key, its fingerprint and the signature of the manifest as well. Name, role and counter
    are worth something with the key only. Exit status 0: all is well; 1: problems, one a line; 2:
    it cannot be checked at all.
    """
    from mmppvit.cli.console import progress_bar
    from mmppvit.sealed import Manifest, check_sealed
    key = key_source.load() if key_source.is_given else None
    with progress_bar('Verifying') as progress:
        report = check_sealed(sealed, key, name=expect, role=role, at_least=at_least,
                              subset=subset, progress=progress)
    manifest = Manifest.load(sealed)
    if key is not None:
        manifest.check_key(key)
    weaker = manifest.weaknesses()
    if as_json:
        click.echo(json.dumps(dict(
            vars(report), sealed=str(sealed), scheme=manifest.scheme.name,
            skipped_when_sealed=len(manifest.skipped), weaker=weaker,
            problems=list(map(str, report.problems)),
            files=sorted({problem.file for problem in report.problems})), indent=1))
        return int(bool(report.problems))
    for problem in report.problems:
        click.echo(problem)
    if isinstance(sealed, RemotePath) and manifest.listing is None:
        click.echo('note: a web server cannot be asked which other files lie there', err=True)
    if weaker is not None:
        click.echo(f'note: {printable(weaker)}', err=True)
    click.echo(describe(sealed, manifest, report, key is not None))
    return int(bool(report.problems))


def describe(sealed: Path, manifest, report, with_key: bool) -> str:
    """The last line: what it is, and how much of it is good."""
    signed = '' if manifest.key is None else \
        ', signature checked' if with_key else ', signature not checked (no --key-file)'
    called = f'{report.name or "unnamed"}, {report.role or "no role"}, counter {report.counter}: ' \
        if report.counter else ''
    looked = '' if report.looked_into == report.images else \
        f', {report.looked_into} of them looked into'
    verdict = 'all is well' if not report.problems else \
        f'{len(report.problems)} problems; {report.good} of {report.images} images ' \
        f'({report.good_bytes} bytes) are good'
    return (f'{sealed}: {called}{report.images} images{looked}, scheme {manifest.scheme.name}, '
            f'{len(manifest.skipped)} skipped when sealed{signed}: {verdict}')
