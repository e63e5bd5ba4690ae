"""Where a key comes from: files, commands, descriptors, and the environment in their place."""
from __future__ import annotations

import os
import sys

import pytest

from mmppvit.encryption import Key, KeyFileError, key_sources, wrapped_keys
from mmppvit.encryption.key_sources import KeySource, ask_new_passphrase
from tests.encryption.known_key import FINGERPRINT, HEX, SECRET, WHOLE, says_secret

DIGITS = HEX.decode()

VARIABLES = ('MMPPVIT_KEY', 'MMPPVIT_KEY_COMMAND', 'MMPPVIT_PASSPHRASE',
             'MMPPVIT_PASSPHRASE_COMMAND')


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No variable is set, there is no terminal, and the folder is empty."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, 'stdin', None)
    monkeypatch.setattr(wrapped_keys, 'SCRYPT', dict(n=2**4, r=8, p=1))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / 'plain.key'
    path.touch(0o600)
    path.write_bytes(WHOLE)
    return path


@pytest.fixture
def wrapped(tmp_path):
    path = tmp_path / 'wrapped.key'
    wrapped_keys.write_private(path, wrapped_keys.wrap_key(Key(SECRET), 'open sesame'))
    return path


def _descriptor(content: bytes) -> int:
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


def test_a_file(plain):
    assert KeySource(file=plain).load().fingerprint == FINGERPRINT


@pytest.mark.parametrize('content', [
    WHOLE, WHOLE.rstrip(b'\n'), WHOLE.replace(b'\n', b'\r\n'), HEX, HEX.upper() + b'\n'],
    ids=['whole', 'no end', 'dos', 'hex', 'upper'])
def test_commands_and_descriptors_give_the_same(content, tmp_path):
    (tmp_path / 'printed').write_bytes(content)
    assert KeySource(command='cat printed').load().fingerprint == FINGERPRINT
    fd = _descriptor(content)
    assert KeySource(fd=fd).load().fingerprint == FINGERPRINT
    os.close(fd)


def test_a_command_is_run_without_a_shell(tmp_path):
    with pytest.raises(KeyFileError, match='cat ended with status 1'):
        KeySource(command="cat 'none; touch made'").load()
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(('command', 'message'), [
    ('', '--key-command is empty: name a command'),
    ("pass 'show", '--key-command: no closing quotation'),
    ('no-such-program --secret hunter2', 'no-such-program cannot be run: No such file'),
    ('false hunter2', 'false ended with status 1'),
    ('true', 'what true printed is empty'),
    ('head -c 5000 /dev/zero', 'what head printed is longer than 4096 bytes'),
    (f'echo {DIGITS[:-1]}', 'the output of --key-command is not a key file'),
])
def test_commands_that_give_none(command, message):
    with pytest.raises(KeyFileError, match=message) as caught:
        KeySource(command=command).load()
    assert not says_secret(str(caught.value))
    assert 'hunter2' not in str(caught.value)
    assert DIGITS[:-1] not in str(caught.value)


@pytest.mark.parametrize(('content', 'message'), [
    (b'', 'is empty'), (b'\n', 'is empty'), (b'0' * 4097, 'is longer than 4096 bytes'),
    (b'\xff' * 64, 'is not a key file'), (WHOLE[:-40], 'is a damaged key file')])
def test_descriptors_that_give_none(content, message):
    fd = _descriptor(content)
    with pytest.raises(KeyFileError, match=message):
        KeySource(fd=fd).load()
    os.close(fd)
    with pytest.raises(KeyFileError, match=f'--key-fd {fd} cannot be read: Bad file descriptor'):
        KeySource(fd=fd).load()


def test_one_is_enough(plain):
    with pytest.raises(KeyFileError, match='--key-file, --key-command and --key-fd say the same'):
        KeySource(file=plain, fd=3)
    with pytest.raises(KeyFileError, match='no key is given: name one by --key-file'):
        KeySource().load()
    assert KeySource().find() is None


def test_the_environment_stands_in(plain, monkeypatch):
    monkeypatch.setenv('MMPPVIT_KEY', str(plain))
    assert KeySource().load().fingerprint == FINGERPRINT
    with pytest.raises(KeyFileError, match=r'no key file other\.key'):
        KeySource(file='other.key').load()  # what is named wins
    monkeypatch.setenv('MMPPVIT_KEY_COMMAND', f'echo {DIGITS}')
    with pytest.raises(KeyFileError, match='both set: unset one'):
        KeySource().load()
    monkeypatch.delenv('MMPPVIT_KEY')
    assert KeySource().load().fingerprint == FINGERPRINT


@pytest.mark.parametrize('way', ['option', 'variable', 'command variable', 'typed'])
def test_a_wrapped_key(wrapped, monkeypatch, way):
    source = KeySource(file=wrapped)
    if way == 'option':
        monkeypatch.setenv('MMPPVIT_PASSPHRASE', 'wrong')  # what is named wins
        source = KeySource(file=wrapped, passphrase_command="echo 'open sesame'")
    elif way == 'variable':
        monkeypatch.setenv('MMPPVIT_PASSPHRASE', 'open sesame')
    elif way == 'command variable':
        monkeypatch.setenv('MMPPVIT_PASSPHRASE_COMMAND', 'printf "open sesame\\nmore"')
    else:
        monkeypatch.setattr(sys, 'stdin', _Terminal())
        monkeypatch.setattr(key_sources.getpass, 'getpass', lambda prompt: 'open sesame')
    assert source.load().fingerprint == FINGERPRINT


class _Terminal:

    def isatty(self) -> bool:
        return True


def test_a_wrapped_key_by_command(wrapped, monkeypatch):
    monkeypatch.setenv('MMPPVIT_PASSPHRASE', 'open sesame')
    assert KeySource(command=f'cat {wrapped}').load().fingerprint == FINGERPRINT


def test_a_wrapped_key_and_nobody_to_ask(wrapped):
    with pytest.raises(KeyFileError, match='is wrapped by a passphrase: give --passphrase-command'):
        KeySource(file=wrapped).load()
    with pytest.raises(KeyFileError, match='no terminal to ask for a passphrase'):
        ask_new_passphrase()


def test_a_new_passphrase_is_typed_twice(monkeypatch):
    monkeypatch.setattr(sys, 'stdin', _Terminal())
    typed = iter(['a', 'a', 'a', 'b'])
    monkeypatch.setattr(key_sources.getpass, 'getpass', lambda prompt: next(typed))
    assert ask_new_passphrase() == 'a'
    with pytest.raises(KeyFileError, match='the two passphrases differ'):
        ask_new_passphrase()
