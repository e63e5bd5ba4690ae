"""Back to plain images, where the scheme lost nothing."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmppvit.encryption import Key, Scheme, unshuffle_patches
from mmppvit.sealed.image_files import encode_image
from mmppvit.sealed.manifest import ANNOTATIONS, Manifest, SealedImage
from mmppvit.utils.atomic import write_atomic

__all__ = ['check_restorable', 'restore_dataset', 'restore_image']


def check_restorable(scheme: Scheme) -> None:
    """Raise ValueError, with the reason, unless a key brings the plain image back."""
    reasons = scheme.losses()
    if reasons:
        raise ValueError(f'scheme {scheme.name} cannot be undone: {"; ".join(reasons)}. Only '
                         'shuffle, without erode and drop, is restorable')


def restore_image(manifest: Manifest, image: SealedImage, key: Key) -> np.ndarray:
    """uint8 (H, W, 3), BGR: the plain image at the scale it was sealed at, bit for bit."""
    img = manifest.decode(image)
    order = manifest.scheme.order(key, image.file, bytes.fromhex(image.nonce), img.shape)
    width, height = image.scaled
    return unshuffle_patches(img, manifest.scheme.side, order)[:height, :width]


def restore_dataset(manifest: Manifest, key: Key, out: Path,
                    progress: Callable[[int, int], None] = lambda done, total: None) -> bool:
    """Write all plain images, and the json where they have the size that it says.

    Returns:
        bool: Whether there is a json; not for images that were rescaled, nor without one.

    Raises:
        ValueError: The scheme is not restorable, the key another one, or ``out`` not empty.
    """
    check_restorable(manifest.scheme)
    manifest.check_key(key)
    if out.exists() and any(out.iterdir()):
        raise ValueError(f'{out} is not empty: choose another --out')
    if isinstance(manifest.root, Path) and out.resolve().is_relative_to(manifest.root.resolve()):
        raise ValueError(f'--out {out} lies in the sealed data set, which may be handed over: '
                         'choose one outside of it')
    for done, image in enumerate(manifest.images, 1):
        img = restore_image(manifest, image, key)
        name = Path(image.file).with_suffix('.png')
        write_atomic(out / name, encode_image(img, 'png'))
        progress(done, len(manifest.images))
    if manifest.annotations is None or manifest.scales != [None]:
        return False
    data = manifest.read_annotations()
    for item in data['images']:
        item['file_name'] = str(Path(item['file_name']).with_suffix('.png'))
    write_atomic(out / ANNOTATIONS, json.dumps(data).encode())
    return True
