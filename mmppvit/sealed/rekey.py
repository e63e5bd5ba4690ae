"""The same images under another key, for a key that got known or an owner that changes."""
from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmppvit.encryption import DERIVATIONS, Key, shuffle_patches, unshuffle_patches
from mmppvit.sealed.entries import SealedImage
from mmppvit.sealed.image_files import encode_image
from mmppvit.sealed.manifest import ANNOTATIONS, Manifest
from mmppvit.sealed.manifest_format import VERSION, canonical
from mmppvit.sealed.pseudonyms import name_of, pseudonym
from mmppvit.sealed.sealed_metadata import seal_metadata
from mmppvit.utils.atomic import sync_files, write_atomic

__all__ = ['rekey_dataset']


def rekey_dataset(manifest: Manifest, old: Key, new: Key, out: Path,
                  progress: Callable[[int, int], None] = lambda done, total: None) -> Manifest:
    """Write ``manifest``'s data set to ``out`` under the key ``new``; plain images are not needed.

    Patches are put in order with the old key and shuffled with the new one. The counter rises by
    one. As nothing is known of the plain files, the new set cannot be resumed. Whoever has both
    folders and the old key knows the order in both: remove the old one.

    Args:
        manifest (Manifest): Of the old set.
        old (Key): That sealed it.
        new (Key): To seal with.
        out (Path): An empty folder, or none.
        progress (Callable): Called with the images done and their total.

    Raises:
        ManifestError: ``old`` did not sign the set, or a file is not what was sealed.
        ValueError: ``out`` is not empty, or the keys are the same.
    """
    manifest.check_key(old)
    if old.fingerprint == new.fingerprint:
        raise ValueError('both keys are the same: make a new one with `mmppvit keygen`')
    if out.exists() and any(out.iterdir()):
        raise ValueError(f'{out} is not empty: choose another --out')
    images = []
    for done, image in enumerate(manifest.images, 1):
        moved, content = _moved(manifest, image, old, new)
        write_atomic(out / moved.file, content)
        images.append(moved)
        progress(done, len(manifest.images))
    sync_files(out, [image.file for image in images])
    return _write_manifest(manifest, images, old, new, out)


def _public(manifest: Manifest, source: str, old: Key, new: Key) -> str | None:
    """The new pseudonym of what had one; None where names are in the open."""
    try:
        return pseudonym(new, name_of(old, source, manifest.name, manifest.role), manifest.name,
                         manifest.role)
    except ValueError:
        return None


def _moved(manifest: Manifest, image: SealedImage, old: Key, new: Key
           ) -> tuple[SealedImage, bytes]:
    content, scheme = manifest.read(image), manifest.scheme
    hidden, file = _public(manifest, image.source, old, new), image.file
    if hidden is not None:
        file = f'{file.partition("/")[0]}/{hidden}{Path(file).suffix}'
    nonce = ''
    if scheme.shuffles:
        img = manifest.decode(image)
        order = scheme.order(old, image.file, bytes.fromhex(image.nonce), img.shape)
        img = unshuffle_patches(img, scheme.side, order)
        fresh = new.nonce(file.encode(), img)
        img = shuffle_patches(img, scheme.side, scheme.order(new, file, fresh, img.shape))
        content, nonce = encode_image(img, manifest.image_format), fresh.hex()
    return replace(image, file=file, source=hidden or image.source, bytes=len(content),
                   sha256=hashlib.sha256(content).hexdigest(), nonce=nonce, plain_mac=''), content


def _write_manifest(manifest: Manifest, images: list[SealedImage], old: Key, new: Key, out: Path
                    ) -> Manifest:
    moved = replace(
        manifest, root=out, images=images, counter=manifest.counter + 1, version=VERSION,
        packed=None,
        job=new.mac('job', b'rekeyed', canonical(manifest.job)), sealed_metadata=None,
        key=dict(fingerprint=new.fingerprint, derivation=DERIVATIONS[-1]), annotations=None,
        skipped=[(_public(manifest, source, old, new) or source, reason)
                 for source, reason in manifest.skipped])
    data = None
    if manifest.annotations is not None or manifest.sealed_metadata is not None:
        names = {before.file.partition('/')[2]: after.file.partition('/')[2]
                 for before, after in zip(manifest.images, images, strict=True)}
        data = manifest.read_annotations()
        for item in data['images']:
            item['file_name'] = names[item['file_name']]
    if manifest.sealed_metadata is not None:
        seal_metadata(moved, data, new)
    elif data is not None:
        content = canonical(data)
        write_atomic(out / ANNOTATIONS, content, sync=True)
        moved.annotations = hashlib.sha256(content).hexdigest()
    moved.save(new)
    return Manifest.load(out)
