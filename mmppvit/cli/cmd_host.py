"""``mmppvit host``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType

EXAMPLES = """
mmppvit host --init --certificates certificates
mmppvit host --listen 0.0.0.0:50051 --certificates certificates --work-dir work --device cuda
mmppvit host --insecure    # a trial on one machine
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--init', is_flag=True,
              help='Make host.key and host.crt in the folder of --certificates, and end.')
@click.option('--listen', default='127.0.0.1:50051', metavar='ADDRESS:PORT',
              help='Default 127.0.0.1:50051; port 0 for a free one.')
@click.option('--certificates', type=PathType(), metavar='DIR',
              help='Has host.key, host.crt, and owner.crt from the owner.')
@click.option('--insecure', is_flag=True, help='No TLS; on addresses of this machine alone.')
@click.option('--work-dir', type=PathType(), default='work_dirs/host',
              help='Snapshots and checkpoints; default work_dirs/host.')
@click.option('--device', default='cpu', help='cpu (default), cuda, cuda:1, ...')
@click.option('--patches', type=PathType(), metavar='FILE',
              help='Sealed images that the owner gave beforehand.')
@click.option('--snapshot-every', type=click.IntRange(1), default=100, metavar='STEPS',
              help='Steps that a killed host repeats at most; default 100.')
@click.option('--max-checkpoints', type=click.IntRange(1), default=1000, metavar='N',
              help='Of one run, more are refused; default 1000.')
@click.option('--max-mbit', type=click.FloatRange(1), default=1000., metavar='MBIT/S',
              help='Rate that is taken from the owner; default 1000.')
@click.option('--record', type=PathType(), metavar='FILE',
              help='Keep all that is received, for `mmppvit attack-host`.')
def command(init: bool, listen: str, certificates: Path | None, insecure: bool, **options) -> None:
    """Train a backbone for an owner, on patches without their order.

    The owner's config has backbone.type='RemotePEViT'. Stop it with Ctrl+C; started again in the
    same folder it goes on where it was.
    """
    from mmppvit.utils.user_errors import UserError, need_packages
    need_packages('grpc', 'mmdet')
    if init:
        from mmppvit.two_party.certificates import create_identity, fingerprint
        path = create_identity(certificates or Path('certificates'), 'host')
        click.echo(f'{path}: give it to the owner\nSHA-256 {fingerprint(path)}')
        return
    if certificates is None and not insecure:
        raise UserError('give --certificates DIR (made with --init), or --insecure for a trial on '
                        'this machine alone')
    from mmppvit.two_party.host import serve
    serve(options.pop('work_dir'), listen, None if insecure else certificates, told=click.echo,
          **options)
