"""Boxes, names and sizes of a sealed data set, encrypted for the holder of the key.

``annotations.json.sealed``: a line that names the format, 16 bytes of salt, then the JSON in
chunks of 64 KiB, each AES-256-GCM under HKDF(key, salt), in the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizar, CRYPTO 2015) as age has it: the nonce is an 11-byte counter and a byte
that is 1 for the last chunk only, so that chunks cannot be reordered, dropped or cut off. The salt
is a MAC of the content: the same content gives the same file, and other content another key.
"""
from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mmppvit.encryption import Key
from mmppvit.sealed.entries import (
    ManifestError,
    SealedImage,
    entry_of,
    expect,
    parse_entry,
    private_entry_of,
)
from mmppvit.sealed.image_files import path_within
from mmppvit.sealed.manifest_format import SEALED_METADATA, canonical, parse_json
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.regular_files import read_regular

if TYPE_CHECKING:
    from mmppvit.sealed.manifest import Manifest

__all__ = ['decrypt_stream', 'encrypt_stream', 'open_metadata', 'seal_metadata']

_HEADER = b'mmppvit sealed metadata 1\n'
_CHUNK, _TAG, _SALT = 65536, 16, 16
_MOST = 2**31


def encrypt_stream(content: bytes, key: Key, purpose: str = 'metadata') -> bytes:
    """``content``, encrypted and authenticated; the same for the same content and key."""
    salt = bytes.fromhex(key.mac(f'{purpose} salt', content))[:_SALT]
    cipher = AESGCM(key.purpose_key(purpose, salt))
    starts = range(0, max(len(content), 1), _CHUNK)
    chunks = [cipher.encrypt(_nonce(i, start == starts[-1]), content[start:start + _CHUNK], _HEADER)
              for i, start in enumerate(starts)]
    return b''.join((_HEADER, salt, *chunks))


def decrypt_stream(sealed: bytes, key: Key, purpose: str = 'metadata') -> bytes:
    """What `encrypt_stream` was given.

    Raises:
        ValueError: It is something else, was changed or cut short, or is of another key.
    """
    body = len(_HEADER) + _SALT
    if not sealed.startswith(_HEADER) or len(sealed) < body + _TAG:
        raise ValueError('it is not sealed metadata of this version')
    cipher = AESGCM(key.purpose_key(purpose, sealed[len(_HEADER):body]))
    starts = range(body, len(sealed), _CHUNK + _TAG)
    try:
        return b''.join(
            cipher.decrypt(_nonce(i, start == starts[-1]), sealed[start:start + _CHUNK + _TAG],
                           _HEADER) for i, start in enumerate(starts))
    except InvalidTag:
        raise ValueError('it was changed or cut short, or is of another key') from None


def _nonce(index: int, last: bool) -> bytes:
    return index.to_bytes(11, 'big') + bytes([last])


def seal_metadata(manifest: Manifest, annotations: dict | None, key: Key) -> None:
    """Write the encrypted metadata of ``manifest``, which then has its digest.

    Images are put into the order of their files, so that they tell nothing of that of the json.
    """
    manifest.images = sorted(manifest.images, key=lambda image: image.file)
    manifest.annotations = None
    hidden = dict(annotations=annotations, skipped=manifest.skipped,
                  pictures=[private_entry_of(image) for image in manifest.images])
    content = encrypt_stream(canonical(hidden), key)
    write_atomic(manifest.root / SEALED_METADATA, content, sync=True)
    manifest.sealed_metadata = hashlib.sha256(content).hexdigest()


def open_metadata(manifest: Manifest, key: Key
                  ) -> tuple[dict, list[SealedImage], list[tuple[str, str]]]:
    """What is hidden, images with it, and skipped ones, of a manifest that was authenticated.

    Raises:
        ManifestError: The file is missing, was changed, or does not fit the manifest.
    """
    path = manifest.root / SEALED_METADATA
    try:
        sealed = read_regular(path_within(manifest.root, SEALED_METADATA), _MOST)
        expect(hashlib.sha256(sealed).hexdigest() == manifest.sealed_metadata,
               'it is not what was sealed')
        hidden = parse_json(decrypt_stream(sealed, key))
        images = [_opened(image, more, manifest) for image, more in
                  zip(manifest.images, hidden['pictures'], strict=True)]
        skipped = [(str(source), str(reason)) for source, reason in hidden['skipped']]
        expect(isinstance(hidden['annotations'], (dict, type(None))), 'its json is none')
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        reason = getattr(err, 'strerror', None) or ' '.join(str(err).split())
        raise ManifestError(f'{path} cannot be used ({reason:.200}): restore it, or seal again'
                            ) from None
    return hidden, images, skipped


def _opened(image: SealedImage, more: dict, manifest: Manifest) -> SealedImage:
    item = entry_of(replace(image, source='', plain=None, scaled=None), manifest.version) | more
    return parse_entry(item, manifest.scheme, manifest.scales, manifest.version)
