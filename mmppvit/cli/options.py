"""What the commands share: help that begins with examples, options of several values, keys."""
from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import click

from mmppvit.utils.remote_files import RemotePath, as_place, is_url

__all__ = ['Command', 'Many', 'PathType', 'cfg_options', 'key_options', 'launcher_options',
           'passphrase_option']


class PathType(click.Path):
    """Gives a :class:`pathlib.Path` with ``~`` expanded; what has to exist is the callee's to say.

    Args:
        urls (bool): Take URLs such as 's3://bucket/folder' as well, and give a ``RemotePath``.
    """

    name = 'path'

    def __init__(self, urls: bool = False) -> None:
        super().__init__(path_type=Path)
        self.urls = urls

    def convert(self, value, param, ctx) -> Path | RemotePath:
        if is_url(value) and self.urls:
            return as_place(value)
        if is_url(value):
            self.fail(f'{value} is a URL, and this has to be a path of this machine'
                      + (': seal into a folder, then `mmppvit pack FOLDER --out URL` puts it there'
                         if ctx is not None and ctx.info_name == 'seal' else ''), param, ctx)
        return Path(value).expanduser()


class Many(click.Option):
    """An option that takes all values that follow it, as MMDetection's ``--cfg-options`` does.

    It can be given more than once, too. Values end at the next option.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, multiple=True, **kwargs)


class Command(click.Command):
    """A command whose help begins with examples.

    Args:
        examples (str): Command lines, as they are to be shown.
    """

    def __init__(self, *args, examples: str = '', **kwargs) -> None:
        kwargs.setdefault('context_settings', {}).setdefault(
            'help_option_names', ['-h', '--help'])
        super().__init__(*args, **kwargs)
        self.examples = examples.strip('\n')

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            formatter.write('Examples:\n')
            for line in self.examples.splitlines():
                formatter.write(f'  {line}\n' if line else '\n')
            formatter.write('\n')
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {name for param in self.params if isinstance(param, Many) for name in param.opts}
        return super().parse_args(ctx, _repeat(args, names))


def _repeat(args: list[str], names: set[str]) -> list[str]:
    """'--scale 1x1 2x2' -> '--scale 1x1 --scale 2x2' for the options in ``names``."""
    result: list[str] = []
    current, has_value = None, False
    for place, arg in enumerate(args):
        if arg == '--':
            return result + args[place:]
        if arg.startswith('-') and len(arg) > 1:
            name, equals, _ = arg.partition('=')
            current, has_value = (name, bool(equals)) if name in names else (None, False)
        elif current is not None:
            if has_value:
                result.append(current)
            has_value = True
        result.append(arg)
    return result


def key_options(command: Callable) -> Callable:
    """Add the ways to give a key; the command gets ``key_source``, a ``KeySource``."""

    @functools.wraps(command)
    def with_source(*args, key_file, key_command, key_fd, passphrase_command, **kwargs):
        from mmppvit.encryption.key_sources import KeySource
        source = KeySource(key_file, key_command, key_fd, passphrase_command)
        return command(*args, key_source=source, **kwargs)

    for option in reversed((
            click.option('--key-file', type=PathType(), metavar='FILE',
                         help='The key, wrapped or not; default: the file that MMPPVIT_KEY names.'),
            click.option('--key-command', metavar='COMMAND',
                         help='A command that prints the key, e.g. "pass show mmppvit"; default: '
                         'MMPPVIT_KEY_COMMAND.'),
            click.option('--key-fd', type=click.IntRange(0), metavar='N',
                         help='Read the key from this file descriptor.'),
            passphrase_option)):
        with_source = option(with_source)
    return with_source


passphrase_option = click.option(
    '--passphrase-command', metavar='COMMAND',
    help='A command that prints the passphrase of a wrapped key; default: MMPPVIT_PASSPHRASE, '
    'MMPPVIT_PASSPHRASE_COMMAND, or a prompt.')


def cfg_options(command: Callable) -> Callable:
    """Add ``--cfg-options``, whose values are 'KEY=VALUE'."""
    return click.option(
        '--cfg-options', cls=Many, metavar='KEY=VALUE...',
        help='Override the config: key=value, key="[a,b]", key=a,b or key="[(a,b),(c,d)]".'
    )(command)


def launcher_options(command: Callable) -> Callable:
    """Add ``--launcher`` and the ``--local-rank`` that older launchers append."""
    command = click.option('--local_rank', '--local-rank', 'local_rank', type=int, default=0,
                           hidden=True, expose_value=False, callback=_set_rank)(command)
    return click.option('--launcher', type=click.Choice(['none', 'pytorch', 'slurm', 'mpi']),
                        default='none', help='Who started the processes of this run.')(command)


def _set_rank(ctx: click.Context, param: click.Parameter, value: int) -> None:
    os.environ.setdefault('LOCAL_RANK', str(value))
