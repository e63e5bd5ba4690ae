"""Is a sealed data set still what was sealed, and did nothing plain slip in?"""
from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mmppvit.encryption import (
    BASELINES,
    LEARNED,
    Key,
    Scheme,
    shuffle_patches,
    split_patches,
)
from mmppvit.sealed.image_files import decode_image
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, Manifest, ManifestError, SealedImage

__all__ = ['blockiness', 'disorder', 'looks_plain', 'metadata_of', 'verify_sealed']

# What pixels need. Everything else can carry text, a thumbnail or a place.
_PNG_CHUNKS = {b'IHDR', b'IDAT', b'IEND'}
_WEBP_CHUNKS = {b'VP8L'}


def verify_sealed(root: Path, key: Key | None = None,
                  progress: Callable[[int, int], None] = lambda done, total: None
                  ) -> Iterator[str]:
    """Problems of the sealed data set ``root``, one sentence each; none if all is well.

    Checked are: the manifest's digest and, with the key, its signature; that every file is there,
    unchanged, an image of its size and free of metadata, and nothing else is; that json and
    images belong together; that no image looks as if it had not been encrypted.

    Raises:
        ManifestError: There is no valid manifest, or the key is another one.
    """
    manifest = Manifest.load(root)
    if key is not None:
        manifest.check_key(key)
    yield from _unlisted_files(manifest)
    if manifest.annotations is not None:
        yield from _check_annotations(manifest)
    for done, image in enumerate(manifest.images, 1):
        yield from _check_image(manifest, image)
        progress(done, len(manifest.images))


def _unlisted_files(manifest: Manifest) -> Iterator[str]:
    listed = {MANIFEST, *manifest.by_file}
    if manifest.annotations is not None:
        listed.add(ANNOTATIONS)
    for folder, folders, files in os.walk(manifest.root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted(files + links):
            file = (Path(folder) / name).relative_to(manifest.root).as_posix()
            if file not in listed:
                file = file.encode(errors='backslashreplace').decode()  # so that it can be printed
                yield f'{file}: is not part of the data set; it may be a plain image'


def _check_annotations(manifest: Manifest) -> Iterator[str]:
    try:
        images = manifest.read_annotations()['images']
        named = {str(item['file_name']): (item['width'], item['height']) for item in images}
    except ManifestError as err:
        yield str(err)
        return
    except (KeyError, TypeError):
        yield f'{ANNOTATIONS}: is not a COCO json'
        return
    sealed = {image.file.partition('/')[2]: image.plain for image in manifest.images}
    for name in sorted(named.keys() ^ sealed.keys()):
        where = 'the json only' if name in named else 'the manifest only'
        yield f'{name}: is in {where}'
    for name in sorted(named.keys() & sealed.keys()):
        if tuple(named[name]) != sealed[name]:
            yield f'{name}: is {named[name]} in the json and {sealed[name]} in the manifest'


def _check_image(manifest: Manifest, image: SealedImage) -> Iterator[str]:
    try:
        content = manifest.read(image)
        img = decode_image(content)
    except (ManifestError, OSError) as err:
        yield str(err) if isinstance(err, ManifestError) else f'{image.file}: {err}'
        return
    if (img.shape[1], img.shape[0]) != image.size:
        yield (f'{image.file}: is {img.shape[1]}x{img.shape[0]} and should be '
               '{}x{}'.format(*image.size))
        return
    extra = metadata_of(content)
    if extra:
        yield f'{image.file}: carries metadata ({", ".join(extra)})'
    if looks_plain(img, manifest.scheme):
        yield (f'{image.file}: looks as if it had not been encrypted with scheme '
               f'{manifest.scheme.name}')


def metadata_of(content: bytes) -> list[str]:
    """Names of the parts of a PNG or WebP file that are not pixels."""
    if content[:8] == b'\x89PNG\r\n\x1a\n':
        return sorted({_name(kind) for kind, _ in _png_chunks(content)} -
                      {_name(kind) for kind in _PNG_CHUNKS})
    if content[:4] == b'RIFF' and content[8:12] == b'WEBP':
        kinds = list(_webp_chunks(content))
        again = {kind for kind in _WEBP_CHUNKS if kinds.count(kind) > 1}
        return sorted(map(_name, (set(kinds) - _WEBP_CHUNKS) | again))
    return ['neither PNG nor WebP']


def _name(kind: bytes) -> str:
    return kind.decode('ascii', errors='backslashreplace').strip()


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    start = 8
    while start + 12 <= len(content):
        length, kind = struct.unpack_from('>I4s', content, start)
        yield kind, length
        start += 12 + length
        if kind == b'IEND':
            break
    if start != len(content):
        yield b'data after the end', 0


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    start = 12
    while start + 8 <= len(content):
        kind, length = struct.unpack_from('<4sI', content, start)
        yield kind
        start += 8 + length + length % 2
    if start != len(content):
        yield b'data after the end'


def blockiness(img: np.ndarray, side: int) -> float:
    """Mean step over the borders of patches as a multiple of the mean step within them.

    About 1 for an image that was not encrypted, or not with patches of this side; infinite where
    it says nothing: for images without texture, and for noise, whose steps are large everywhere.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels, 2 or more.
    """
    over, within = [], []
    for turned in (img, img.swapaxes(0, 1)):
        steps = np.abs(np.diff(turned.astype(np.int16), axis=0)).mean(axis=(1, 2))
        at_border = np.arange(1, len(turned)) % side == 0
        over += steps[at_border].tolist()
        within += steps[~at_border].tolist()
    spread = img.std(axis=(0, 1)).mean()
    if not over or spread < 4 or not 0 < np.mean(within) < .7 * spread:
        return np.inf
    return float(np.mean(over) / np.mean(within))


def disorder(img: np.ndarray, side: int) -> float:
    """Mean step over the borders of patches as a share of what it is in a random order.

    About 1 for shuffled patches, well below where neighbors are still neighbors, mixed or not;
    infinite where it says nothing: for images without texture or of few patches.

    Args:
        img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        side (int): Side of a patch in pixels.
    """
    count = img.shape[0] // side * (img.shape[1] // side)
    if count < _ENOUGH_PATCHES or img.std(axis=(0, 1)).mean() < 4:
        return np.inf
    rng = np.random.default_rng(0)
    at_random = [_step_at_borders(shuffle_patches(img, side, rng.permutation(count)), side)
                 for _ in range(2)]
    return _step_at_borders(img, side) / np.mean(at_random)


def _step_at_borders(img: np.ndarray, side: int) -> float:
    steps = [np.abs(turned[side::side].astype(np.int16) - turned[side - 1:-1:side]).mean()
             for turned in (img, img.swapaxes(0, 1)) if len(turned) > side]
    return float(np.mean(steps))


def looks_plain(img: np.ndarray, scheme: Scheme) -> bool:
    """Whether an image lacks the marks of its scheme.

    Eroded patches have gray borders, centered ones means near 128, unless their texture saturates.
    Of shuffled patches the neighbors are strangers, and mixed ones do not continue each other.
    Whether centered patches are shuffled, and whether some were dropped, is not judged. Pixelated
    images are of one color in every block; blur, noise, smaller size and learned protection
    are not judged.
    """
    patches = split_patches(img, scheme.side)
    if scheme.erode:
        gray = patches == 128
        gray[:, :, scheme.erode:-scheme.erode, scheme.erode:-scheme.erode] = True
        return not gray.all()
    if scheme.centers:
        saturated = ((patches == 0) | (patches == 255)).any((2, 3))
        # Rounding moves the mean by up to half a level.
        allowed = (1 - scheme.center_strength) * 128 + 1
        return bool((np.abs(patches.mean((2, 3)) - 128) > allowed)[~saturated].any())
    if scheme.shuffles:  # what was dropped lies together
        return not scheme.drop and disorder(img, scheme.side) < _ORDERED_BELOW
    if scheme.name == 'pixelate':
        return not _has_blocks(img, int(scheme.strength), scheme.patch_size)
    if scheme.name in (*BASELINES, LEARNED):
        return False
    return scheme.side > 1 and blockiness(img, scheme.side) < _PLAIN_BELOW


def _has_blocks(img: np.ndarray, block: int, padding: int) -> bool:
    """Whether all blocks that end more than ``padding`` before the border are of one color."""
    rows, cols = (max(size - padding, 0) // block for size in img.shape[:2])
    if not rows or not cols:
        return True
    blocks = split_patches(img[:rows * block, :cols * block], block)
    return bool((blocks == blocks[:, :, :1, :1]).all())


# 111 photographs: in order up to 0.50, mixed or not, with patches of 8 and 16 pixels; shuffled from
# 0.966.
_ORDERED_BELOW, _ENOUGH_PATCHES = .8, 48
# 90 photographs at two sizes and three patch sizes: mixed from 1.39; shrunk 2 to 4 times below 1.3
# in 9 of 10.
_PLAIN_BELOW = 1.3
