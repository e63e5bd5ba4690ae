"""Keys wrapped by a passphrase: scrypt makes a key of it, AES-256-GCM encrypts the 256 bits.

A wrapped key file has two lines, ``mmppvit wrapped key 1`` and a JSON object with the parameters of
scrypt, salt, nonce and ciphertext in hex, and the fingerprint of the key within. The header and
everything but the ciphertext are authenticated, so that an edited file is refused.
"""
from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mmppvit.encryption.keys import Key, KeyFileError, read_private
from mmppvit.utils.atomic import sync_folder

__all__ = ['create_wrapped', 'is_wrapped', 'read_fingerprint', 'unwrap_key', 'wrap_key',
           'write_private']

HEADER = 'mmppvit wrapped key 1'
# RFC 7914 for files: 128 MiB and half a second a guess.
SCRYPT = dict(n=2**17, r=8, p=1)
# Whoever edits a file must not make its reader take all of the memory: 512 MiB at most.
_LIMITS = dict(n=2**19, r=8, p=4)
_FIELDS = {*SCRYPT, 'kdf', 'salt', 'nonce', 'ciphertext', 'fingerprint'}


def is_wrapped(text: str) -> bool:
    """Whether this is the text of a wrapped key file."""
    return text.split('\n', 1)[0] == HEADER


def wrap_key(key: Key, passphrase: str) -> str:
    """The text of a file from which :func:`unwrap_key` gets ``key`` back.

    Raises:
        KeyFileError: The passphrase is empty.
    """
    if not passphrase:
        raise KeyFileError('the passphrase is empty: choose a long one')
    fields = dict(kdf='scrypt', **SCRYPT, salt=secrets.token_hex(16), nonce=secrets.token_hex(12),
                  fingerprint=key.fingerprint)
    sealed = AESGCM(_stretch(passphrase, fields)).encrypt(
        bytes.fromhex(fields['nonce']), key._secret, _authenticated(fields))
    return f'{HEADER}\n{json.dumps(dict(fields, ciphertext=sealed.hex()))}\n'


def unwrap_key(text: str, passphrase: str, name: str | Path) -> Key:
    """The key in the text of a wrapped key file.

    Args:
        text (str): All of the file.
        passphrase (str): That it was wrapped with.
        name (str | Path): Where the text came from, for errors.

    Raises:
        KeyFileError: The passphrase is another one, or the text is damaged.
    """
    fields = _read_fields(text, name)
    try:
        secret = AESGCM(_stretch(passphrase, fields)).decrypt(
            bytes.fromhex(fields['nonce']), bytes.fromhex(fields['ciphertext']),
            _authenticated(fields))
    except InvalidTag:
        raise KeyFileError(f'{name}: the passphrase is wrong, or the file was edited') from None
    key = Key(secret)
    if key.fingerprint != fields['fingerprint']:
        raise KeyFileError(f'{name} is a damaged key file: restore it from a copy')
    return key


def create_wrapped(path: str | Path, passphrase: Callable[[], str]) -> Key:
    """A new key, written to ``path`` wrapped, with mode 0600.

    Args:
        path (str | Path): The file.
        passphrase (Callable): Gives the passphrase; not called where the file cannot be written.

    Raises:
        KeyFileError: The file exists, or cannot be written.
    """
    path = Path(path).expanduser()
    _check_free(path)
    key = Key(secrets.token_bytes(32))
    write_private(path, wrap_key(key, passphrase()))
    return key


def read_fingerprint(path: str | Path) -> str:
    """Fingerprint of the key in a file, wrapped or not; no passphrase is needed.

    Raises:
        KeyFileError: It is not a whole key file.
    """
    path = Path(path).expanduser()
    text = read_private(path)
    return _read_fields(text, path)['fingerprint'] if is_wrapped(text) else \
        Key.parse(text, path).fingerprint


def write_private(path: str | Path, text: str) -> None:
    """Write a key file of mode 0600 that is there whole or not at all, and replaces nothing.

    Raises:
        KeyFileError: The file exists, or cannot be written.
    """
    path = Path(path).expanduser()
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}')
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, 'w', encoding='ascii', newline='\n') as file:
                file.write(text)
                file.flush()
                os.fsync(handle)
            os.link(temporary, path)  # unlike a rename it fails where a file is
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        _check_free(path)
        raise
    except OSError as err:
        raise KeyFileError(f'{path} cannot be written: {err.strerror}') from None


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise KeyFileError(f'{path} exists; keys are never overwritten, as whatever is sealed '
                           'with them would be lost: choose another name')


def _read_fields(text: str, name: str | Path) -> dict:
    damaged = KeyFileError(f'{name} is a damaged key file: restore it from a copy')
    lines = text.split('\n')
    try:
        fields = json.loads(lines[1])
        whole = (lines[0] == HEADER and lines[2:] == [''] and fields.keys() == _FIELDS
                 and fields['kdf'] == 'scrypt'
                 and all(type(fields[key]) is int and 0 < fields[key] <= most
                         for key, most in _LIMITS.items())
                 and fields['n'] > 1 and fields['n'].bit_count() == 1
                 and [len(bytes.fromhex(fields[key])) for key in (
                     'salt', 'nonce', 'ciphertext', 'fingerprint')] == [16, 12, 48, 16])
    except (ValueError, IndexError, TypeError, AttributeError, RecursionError):
        raise damaged from None
    if not whole:
        raise damaged
    return fields


def _stretch(passphrase: str, fields: dict) -> bytes:
    scrypt = Scrypt(salt=bytes.fromhex(fields['salt']), length=32,
                    **{key: fields[key] for key in SCRYPT})
    return scrypt.derive(passphrase.encode(errors='surrogateescape'))


def _authenticated(fields: dict) -> bytes:
    said = {key: value for key, value in fields.items() if key != 'ciphertext'}
    return f'{HEADER}\n{json.dumps(said, sort_keys=True)}'.encode()
