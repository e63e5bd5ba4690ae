"""``mmppvit owner``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, cfg_options

EXAMPLES = """
mmppvit owner --init --certificates certificates
mmppvit owner --patches patches.safetensors --config my_config.py
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--init', is_flag=True,
              help='Make owner.key and owner.crt in the folder of --certificates.')
@click.option('--certificates', type=PathType(), default='certificates', metavar='DIR')
@click.option('--patches', type=PathType(), metavar='FILE',
              help='Write the images of --config for the host, without names and places.')
@click.option('--config', help='Config whose images are written.')
@click.option('--splits', default='train,val', metavar='NAMES', help='Default train,val.')
@cfg_options
def command(init: bool, certificates: Path, patches: Path | None, config: str | None,
            splits: str, cfg_options: tuple[str, ...]) -> None:
    """Prepare for training with a host.

    With --patches and backbone.patches in the config no image travels while training.
    """
    if not init and not (patches and config):
        raise click.UsageError('give --init, or --patches FILE and --config CONFIG')
    names = splits.split(',')
    if set(names) - {'train', 'val', 'test'}:
        raise click.UsageError(f'--splits {splits}: choose from train,val,test')
    from mmppvit.utils.user_errors import need_packages
    need_packages('grpc')
    if init:
        from mmppvit.two_party.certificates import create_identity, fingerprint
        path = create_identity(certificates, 'owner')
        click.echo(f'{path}: give it to the host\nSHA-256 {fingerprint(path)}')
    if patches:
        from mmppvit.two_party.export_patches import export_patches
        count = export_patches(config, patches, names, cfg_options)
        click.echo(f'{patches}: {count} images for `mmppvit host --patches`')
