"""Names that only the holder of the key can read: a way there and back, without a table.

A pseudonym is the whole relative name, padded with zeros to a multiple of 16 bytes, under AES-SIV
(RFC 5297), in base32 without padding. It is deterministic, so that a resumed run finds its files,
and bound to the data set's name and role, so that two sets do not share pseudonyms.
"""
from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mmppvit.encryption import Key

__all__ = ['name_of', 'names_of', 'pseudonym']


def pseudonym(key: Key, source: str, name: str, role: str) -> str:
    """Lower-case letters and digits in place of the file name ``source``.

    Args:
        key (Key): Of the owner.
        source (str): Relative name of the plain image.
        name, role (str): Of the data set.
    """
    padded = source.encode(errors='surrogatepass')
    padded += bytes(-len(padded) % 16)
    sealed = _cipher(key).encrypt(padded, _of(name, role))
    return base64.b32encode(sealed).decode().rstrip('=').lower()


def name_of(key: Key, text: str, name: str, role: str) -> str:
    """The file name that ``text`` stands for.

    Raises:
        ValueError: It is no pseudonym of this key, or of another data set.
    """
    try:
        sealed = base64.b32decode(text.upper() + '=' * (-len(text) % 8))
        return _cipher(key).decrypt(sealed, _of(name, role)).rstrip(b'\0').decode(
            errors='surrogatepass')
    except (binascii.Error, InvalidTag, ValueError):
        raise ValueError(f'{text!r:.80} is no pseudonym of this data set and key') from None


def names_of(manifest, key: Key) -> dict[str, str]:
    """Name of the plain image of every sealed file, of a manifest that ``key`` has opened."""
    names = {}
    for image in manifest.images:
        try:
            names[image.file] = name_of(key, image.source, manifest.name, manifest.role)
        except ValueError:  # names are in the open
            names[image.file] = image.source
    return names


def _cipher(key: Key) -> AESSIV:
    return AESSIV(key.purpose_key('pseudonym', length=64))


def _of(name: str, role: str) -> list[bytes]:
    return [name.encode(), role.encode()]
