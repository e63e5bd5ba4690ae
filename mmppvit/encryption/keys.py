"""Keys: 256 random bits in a file of mode 0600, and what is derived from them.

Derivation 1, which a data set names in its manifest so that later versions can still read it:

- fingerprint: HKDF-SHA256(key, info='mmppvit/1/fingerprint'), 16 bytes in hex;
- sub-key of an image: HKDF-SHA256(key, salt=nonce, info='mmppvit/1/shuffle/' + image id);
- nonce: the first 16 bytes of HMAC-SHA256(HKDF(key, info='mmppvit/1/nonce'), content), so that
  two images of one name never share a permutation;
- permutation of n: the order that sorts n 64-bit numbers of the sub-key's AES-256-CTR stream.

What else is derived (manifests of version 4 on) has a key of its own for each purpose:
HKDF-SHA256(key, info='mmppvit/2/' + purpose), and MACs are HMAC-SHA256 over length-prefixed parts.
"""
from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mmppvit.utils.atomic import sync_folder

__all__ = ['DERIVATIONS', 'Key', 'KeyFileError', 'permutation', 'read_private']

DERIVATIONS = (1, )
_HEADER = 'mmppvit key 1'
_MAX_FILE = 1024


class KeyFileError(ValueError):
    """A key file that is missing, foreign, damaged or open to others."""


class Key:
    """256 secret bits. Neither ``repr`` nor pickling gives them away.

    Args:
        secret (bytes): 32 bytes.
        path (str | Path, optional): Where it was read from; a pickled key is read from there
            again, so worker processes need the file and no pipe carries the secret.
    """

    def __init__(self, secret: bytes, path: str | Path | None = None) -> None:
        if len(secret) != 32:
            raise KeyFileError(f'a key has 32 bytes, got {len(secret)}')
        self._secret = bytes(secret)
        self._path = None if path is None else os.path.abspath(path)
        self.fingerprint = self._derive(b'mmppvit/1/fingerprint', length=16).hex()

    @property
    def path(self) -> str | None:
        """The file that it was read from."""
        return self._path

    @classmethod
    def create(cls, path: str | Path) -> Key:
        """A new key, written to ``path`` with mode 0600.

        Raises:
            KeyFileError: The file exists; a key is never overwritten.
        """
        path = Path(path).expanduser()
        key = cls(secrets.token_bytes(32), path)
        try:
            _write_private(path, f'{_HEADER}\n{key._secret.hex()}\n{key.fingerprint}\n'.encode())
        except FileExistsError:
            raise KeyFileError(f'{path} exists; keys are never overwritten, as whatever is sealed '
                               'with them would be lost: choose another name') from None
        except OSError as err:
            raise KeyFileError(f'{path} cannot be written: {err.strerror}') from None
        return key

    @classmethod
    def load(cls, path: str | Path) -> Key:
        """The key in ``path``.

        Raises:
            KeyFileError: There is no such file, it is not a whole key file, or others than its
                owner may read it.
        """
        path = Path(path).expanduser()
        return cls.parse(read_private(path), path, path)

    @classmethod
    def parse(cls, text: str, name: str | Path, path: Path | None = None) -> Key:
        """The key that a key file's text says.

        Args:
            text (str): All of the file.
            name (str | Path): Where it came from, for errors.
            path (Path, optional): The file, from which worker processes may read it again.

        Raises:
            KeyFileError: It is not a whole key file.
        """
        lines = text.split('\n')
        if lines[0] != _HEADER:
            raise KeyFileError(f'{name} is not a key file of this version (its first line is not '
                               f'{_HEADER!r}): make one with `mmppvit keygen`')
        try:
            key = cls(bytes.fromhex(lines[1]), path)
            whole = len(lines) == 4 and lines[3] == '' and lines[2] == key.fingerprint
        except (ValueError, IndexError):
            whole = False
        if not whole:
            raise KeyFileError(f'{name} is a damaged key file: it was cut short or edited; '
                               'restore it from a copy')
        return key

    def _derive(self, info: bytes, salt: bytes | None = None, length: int = 32) -> bytes:
        return HKDF(SHA256(), length, salt, info).derive(self._secret)

    def nonce(self, *content: bytes | np.ndarray) -> bytes:
        """16 bytes that follow from the content and that nobody can predict without the key."""
        digest = hmac.new(self._derive(b'mmppvit/1/nonce'), digestmod='sha256')
        for part in content:
            part = np.ascontiguousarray(part) if isinstance(part, np.ndarray) else part
            head = f'{part.shape} {part.dtype.str}' if isinstance(part, np.ndarray) else len(part)
            digest.update(f'{head}\n'.encode())
            digest.update(part)
        return digest.digest()[:16]

    def sub_key(self, image_id: str, nonce: bytes) -> bytes:
        """32 bytes for one image: HKDF over its id and its nonce."""
        name = image_id.encode(errors='surrogatepass')  # file names may be no Unicode
        return self._derive(b'mmppvit/1/shuffle/' + name, salt=nonce)

    def sign(self, content: bytes) -> str:
        """HMAC-SHA256 of ``content`` in hex, under a key of its own."""
        return hmac.new(self._derive(b'mmppvit/1/sign'), content, 'sha256').hexdigest()

    def mac(self, purpose: str, *parts: bytes) -> str:
        """HMAC-SHA256 of ``parts`` in hex, under a key that only ``purpose`` has.

        Each part's length goes in front of it, so that ('ab', 'c') and ('a', 'bc') differ.
        """
        digest = hmac.new(self.purpose_key(purpose), digestmod='sha256')
        for part in parts:
            digest.update(len(part).to_bytes(8, 'big') + part)
        return digest.hexdigest()

    def mac_pieces(self, purpose: str, *parts: tuple[int, Iterable[bytes]]) -> str:
        """`mac` of parts that come in pieces: each is its length in bytes, and the pieces."""
        digest = hmac.new(self.purpose_key(purpose), digestmod='sha256')
        for length, pieces in parts:
            digest.update(length.to_bytes(8, 'big'))
            for piece in pieces:
                digest.update(piece)
        return digest.hexdigest()

    def purpose_key(self, purpose: str, salt: bytes | None = None, length: int = 32) -> bytes:
        """``length`` secret bytes for one purpose and one salt. Do not write them anywhere."""
        return self._derive(b'mmppvit/2/' + purpose.encode(), salt, length)

    def __reduce__(self) -> tuple:
        if self._path is None:
            raise TypeError('this key has no file, and keys are not pickled')
        return _reload, (type(self), self._path, self.fingerprint)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(fingerprint={self.fingerprint})'

    __str__ = __repr__


def _reload(kind: type[Key], path: str, fingerprint: str) -> Key:
    key = kind.load(path)
    if key.fingerprint != fingerprint:
        raise KeyFileError(f'{path} now holds another key, of fingerprint {key.fingerprint}, than '
                           f'when it was first read ({fingerprint})')
    return key


def permutation(sub_key: bytes, count: int) -> np.ndarray:
    """A permutation of ``count`` from the AES-256-CTR stream of ``sub_key``.

    It sorts ``count`` numbers of 64 bits, read little-endian from the stream. Given that they
    differ, which is checked, every order is equally likely, without modulo bias; the same on every
    platform.

    Args:
        sub_key (bytes): 32 bytes, for one use only.
        count (int): Number of patches.

    Returns:
        ndarray: int64, (count, ).
    """
    stream = Cipher(AES256(sub_key), CTR(bytes(16))).encryptor()
    while True:
        draws = np.frombuffer(stream.update(bytes(8 * count)), '<u8')
        order = np.argsort(draws, kind='stable')
        ordered = draws[order]
        if not (ordered[1:] == ordered[:-1]).any():  # else draw again; once in 10**12 images
            return order.astype(np.int64)


def _write_private(path: Path, content: bytes) -> None:
    """A new file of mode 0600, on the disk with its name when this returns, or none at all."""
    # The mode is given at creation: there is no moment at which others can read it.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        sync_folder(path.parent)
    except BaseException:  # a full disk would leave an empty key behind
        path.unlink(missing_ok=True)
        raise


def _check_owners(path: Path, owner: int) -> None:
    """Refuse a key that somebody else could have put there.

    Raises:
        KeyFileError: Another user owns it, or may replace it or a folder above it.
    """
    if os.name != 'posix':
        return
    mine = {os.geteuid(), 0}
    if owner not in mine:
        raise KeyFileError(f'{path} belongs to another user (id {owner}), who knows it and may '
                           f'change it: chown it to yourself, if you trust it')
    for folder in Path(os.path.realpath(path)).parents:
        status = folder.stat()
        open_to = ('others' if status.st_mode & 0o002 else
                   'its group' if status.st_mode & 0o020 and not _is_private(status.st_gid)
                   else None)
        if open_to and not status.st_mode & stat.S_ISVTX:  # /tmp: only owners replace files
            raise KeyFileError(f'{path} can be replaced by others, as {folder} can be written by '
                               f'{open_to}: chmod go-w {folder}, or move the key')
        if status.st_uid not in mine:
            raise KeyFileError(f'{path} can be replaced by another user (id {status.st_uid}), who '
                               f'owns {folder}: move the key to a folder of your own')


def _is_private(gid: int) -> bool:
    """Whether a group has no member but this user, as many systems make one for each user."""
    import grp
    import pwd
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and \
        set(group.gr_mem) <= {user.pw_name}


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, 'O_NONBLOCK', 0))  # a pipe would wait for a writer


def read_private(path: Path) -> str:
    """The text of a file that only its owner may read.

    Raises:
        KeyFileError: There is no such file, others may read it, or it is longer than a key file.
    """
    try:
        with open(path, 'rb', opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f'{path} is not a regular file')
            if os.name == 'posix' and status.st_mode & 0o077:
                raise KeyFileError(
                    f'{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}): '
                    f'chmod 600 {path}, and consider the key known if others use this machine')
            _check_owners(path, status.st_uid)
            content = file.read(_MAX_FILE + 1)
    except FileNotFoundError:
        raise KeyFileError(f'no key file {path}: make one with `mmppvit keygen`, or name the file '
                           'that the data set was sealed with') from None
    except OSError as err:
        raise KeyFileError(f'{path} cannot be read: {err.strerror}') from None
    if len(content) > _MAX_FILE:
        raise KeyFileError(f'{path} is not a key file: it is longer than {_MAX_FILE} bytes')
    # Foreign bytes make no header, which is reported with the remedy.
    return content.decode('ascii', errors='replace')
