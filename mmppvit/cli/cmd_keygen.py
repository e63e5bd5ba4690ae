"""``mmppvit keygen``."""
from __future__ import annotations

from pathlib import Path

import click

from mmppvit.cli.options import Command, PathType, passphrase_option

EXAMPLES = """
mmppvit keygen owner.key
mmppvit keygen owner.key --passphrase
mmppvit keygen owner.key --show
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument('key_file', type=PathType())
@click.option('--passphrase', is_flag=True,
              help='Wrap the key by a passphrase (scrypt, AES-256-GCM), which is asked for.')
@click.option('--show', is_flag=True,
              help='Make no key, print the fingerprint of the one that is there.')
@passphrase_option
def command(key_file: Path, passphrase: bool, show: bool, passphrase_command: str | None) -> None:
    """Make a key, or show the fingerprint of one.

    An existing file is never overwritten. Keep the key secret, and keep a copy: it cannot be made
    again, and shuffled images cannot be put in order without it.
    """
    from mmppvit.encryption import Key
    from mmppvit.encryption.key_sources import ask_new_passphrase
    from mmppvit.encryption.wrapped_keys import create_wrapped, read_fingerprint
    if show:
        click.echo(f'{key_file}: key with fingerprint {read_fingerprint(key_file)}')
        return
    if passphrase or passphrase_command:
        key = create_wrapped(key_file, lambda: ask_new_passphrase(passphrase_command))
    else:
        key = Key.create(key_file)
    click.echo(f'{key_file}: new key with fingerprint {key.fingerprint}')
