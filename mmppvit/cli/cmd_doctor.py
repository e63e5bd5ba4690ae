"""``mmppvit doctor``."""
from __future__ import annotations

import json

import click

from mmppvit.cli.options import Command

EXAMPLES = """
mmppvit doctor
mmppvit doctor --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
def command(as_json: bool) -> int:
    """Examine the installation: versions, where operators come from, what is broken.

    Each finding has its remedy. Exit status 1: something is broken.
    """
    from mmppvit.compat.installation import describe, examine
    report = examine()
    click.echo(json.dumps(report, indent=2) if as_json else describe(report))
    return int(any(finding['level'] == 'broken' for finding in report['findings']))
