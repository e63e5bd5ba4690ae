"""Where a key comes from: a file, a command, a descriptor; the same for commands and pipelines.

The first of these that is given is taken: what the caller names (a file, a command or a
descriptor), and the environment's ``MMPPVIT_KEY`` (a file) or ``MMPPVIT_KEY_COMMAND``. Each gives
the content of a key file; commands and descriptors may also give the 64 hex digits alone. Of a
wrapped key the passphrase comes from a command that the caller names, from ``MMPPVIT_PASSPHRASE``
or ``MMPPVIT_PASSPHRASE_COMMAND``, or from the terminal.
"""
from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mmppvit.encryption.keys import Key, KeyFileError, read_private
from mmppvit.encryption.wrapped_keys import is_wrapped, unwrap_key

__all__ = ['KeySource', 'ask_new_passphrase', 'run_secret_command']

_MOST = 4096  # bytes of a key file or a passphrase


@dataclass(frozen=True)
class KeySource:
    """Where to find a key; nothing is read before :meth:`load`.

    Args:
        file (str | Path, optional): A key file, wrapped or not.
        command (str, optional): A command line whose output is a key file's content. It is split
            as a shell does, but run without one.
        fd (int, optional): A file descriptor that the content can be read from, once.
        passphrase_command (str, optional): A command line whose first line is the passphrase.

    Raises:
        KeyFileError: More than one of the first three is given.
    """
    file: str | Path | None = None
    command: str | None = None
    fd: int | None = None
    passphrase_command: str | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.file, self.command, self.fd)) > 1:
            raise KeyFileError('--key-file, --key-command and --key-fd say the same: give one')

    @property
    def is_given(self) -> bool:
        """Whether the caller names a key, as opposed to the environment."""
        return not (self.file is None and self.command is None and self.fd is None)

    def find(self) -> KeySource | None:
        """This source, or what the environment says in its place; None where nobody names any.

        Raises:
            KeyFileError: Both ``MMPPVIT_KEY`` and ``MMPPVIT_KEY_COMMAND`` are set.
        """
        if self.is_given:
            return self
        file, command = (os.environ.get(name) or None
                         for name in ('MMPPVIT_KEY', 'MMPPVIT_KEY_COMMAND'))
        if file and command:
            raise KeyFileError('MMPPVIT_KEY and MMPPVIT_KEY_COMMAND are both set: unset one')
        if not file and not command:
            return None
        return KeySource(file, command, passphrase_command=self.passphrase_command)

    def load(self) -> Key:
        """The key.

        Raises:
            KeyFileError: There is none, or it cannot be read; the message holds no secret.
        """
        source = self.find()
        if source is None:
            raise KeyFileError('no key is given: name one by --key-file, --key-command or '
                               '--key-fd, or set MMPPVIT_KEY; `mmppvit keygen` makes one')
        return source._read()

    def _read(self) -> Key:
        if self.file is not None:
            path = Path(self.file).expanduser()
            text, name = read_private(path), path
        elif self.command is not None:
            text, path = run_secret_command(self.command, '--key-command'), None
            name = 'the output of --key-command'
        else:
            text, path, name = _read_fd(self.fd), None, f'descriptor {self.fd}'
        if is_wrapped(text):
            return unwrap_key(text, self._passphrase(name), name)
        if path is None:
            text = text.replace('\r\n', '\n').rstrip('\n') + '\n'
            if re.fullmatch(r'[0-9a-fA-F]{64}\n', text):
                return Key(bytes.fromhex(text.strip()))
        return Key.parse(text, name, path)

    def _passphrase(self, name: str | Path) -> str:
        known = _known_passphrase(self.passphrase_command)
        if known is not None:
            return known
        if not sys.stdin or not sys.stdin.isatty():
            raise KeyFileError(f'{name} is wrapped by a passphrase: give --passphrase-command, or '
                               'set MMPPVIT_PASSPHRASE')
        return getpass.getpass(f'Passphrase of {name}: ')


def ask_new_passphrase(command: str | None = None) -> str:
    """The passphrase for a new key, from where :class:`KeySource` takes one, or typed twice.

    Raises:
        KeyFileError: There is no terminal to ask, or what was typed differs.
    """
    known = _known_passphrase(command)
    if known is not None:
        return known
    if not sys.stdin or not sys.stdin.isatty():
        raise KeyFileError('no terminal to ask for a passphrase: give --passphrase-command, or set '
                           'MMPPVIT_PASSPHRASE')
    first = getpass.getpass('New passphrase: ')
    if getpass.getpass('Once more: ') != first:
        raise KeyFileError('the two passphrases differ: try again')
    return first


def run_secret_command(command: str, option: str) -> str:
    """What a command prints. Its standard input and error are ours, so that it can ask.

    Args:
        command (str): The command line; quotes as in a shell.
        option (str): Who names it, for errors, which hold neither its arguments nor its output.

    Raises:
        KeyFileError: It cannot be run, fails, or prints nothing or too much.
    """
    try:
        words = shlex.split(command)
    except ValueError as err:
        raise KeyFileError(f'{option}: {str(err).lower()}') from None
    if not words:
        raise KeyFileError(f'{option} is empty: name a command')
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    except OSError as err:
        raise KeyFileError(f'{option}: {words[0]} cannot be run: {err.strerror}') from None
    if done.returncode:
        raise KeyFileError(f'{option}: {words[0]} ended with status {done.returncode}')
    return _decode(done.stdout, f'{option}: what {words[0]} printed')


def _known_passphrase(command: str | None) -> str | None:
    from_environment = os.environ.get('MMPPVIT_PASSPHRASE')
    if command is None and from_environment is not None:
        return from_environment
    command = command or os.environ.get('MMPPVIT_PASSPHRASE_COMMAND') or None
    if command is None:
        return None
    return run_secret_command(command, '--passphrase-command').split('\n', 1)[0].rstrip('\r')


def _read_fd(fd: int) -> str:
    try:
        with os.fdopen(fd, 'rb', closefd=False) as file:
            content = file.read(_MOST + 1)
    except OSError as err:
        raise KeyFileError(f'--key-fd {fd} cannot be read: {err.strerror}') from None
    return _decode(content, f'--key-fd {fd}: what was read')


def _decode(content: bytes, what: str) -> str:
    if not content.strip():
        raise KeyFileError(f'{what} is empty')
    if len(content) > _MOST:
        raise KeyFileError(f'{what} is longer than {_MOST} bytes')
    return content.decode('utf-8', errors='surrogateescape')
