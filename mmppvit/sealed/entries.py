"""One line of a manifest or journal: what is known of one sealed file."""
from __future__ import annotations

import re
from dataclasses import dataclass

from mmppvit.encryption import Scheme
from mmppvit.sealed.image_files import is_safe_name

__all__ = ['MAX_SIDE', 'ManifestError', 'SealedImage', 'entry_of', 'image_folder', 'is_hex',
           'parse_entry', 'parse_size', 'private_entry_of']

MAX_SIDE = 1_000_000
_PRIVATE = ('source', 'plain', 'scaled', 'plain_mac')  # that sealed metadata hides


class ManifestError(ValueError):
    """A manifest, or a file that it lists, is missing or not what it was when it was sealed."""


@dataclass(frozen=True, slots=True)
class SealedImage:
    """One file of a sealed data set; sizes are (width, height) in pixels.

    Args:
        file (str): Relative to the data set's folder.
        source (str): Name of the plain file, relative to its folder, or its pseudonym; '' as long
            as metadata is sealed.
        scale (int): Index into the manifest's ``scales``.
        plain (tuple): Size of the plain image: the frame of boxes and evaluation; None as long as
            metadata is sealed.
        scaled (tuple): After rescaling and before padding; None as ``plain`` is.
        size (tuple): Of the file's image.
        bytes (int): Of the file.
        sha256 (str): Of the file, in hex.
        nonce (str): In hex; empty for schemes that do not shuffle.
        plain_mac (str): MAC of the plain file under the key, 32 hex digits, so that a resumed run
            notices another one; empty without a key and in manifests before version 4.
    """
    file: str
    source: str
    scale: int
    plain: tuple[int, int] | None
    scaled: tuple[int, int] | None
    size: tuple[int, int]
    bytes: int
    sha256: str
    nonce: str = ''
    plain_mac: str = ''

    @property
    def scale_factor(self) -> tuple[float, float]:
        """(w, h): from the plain frame to the one the image was rescaled to."""
        return self.scaled[0] / self.plain[0], self.scaled[1] / self.plain[1]


def image_folder(scales: list, index: int) -> str:
    """Folder of the images of one scale: 'images', or 'images_1333x800' beside others."""
    return 'images' if len(scales) == 1 else 'images_{}x{}'.format(*scales[index])


def entry_of(image: SealedImage, version: int, public: bool = False) -> dict:
    """``image`` as JSON has it; ``public``: without what sealed metadata hides."""
    return {name: getattr(image, name) for name in SealedImage.__dataclass_fields__
            if not (public and name in _PRIVATE) and (version > 3 or name != 'plain_mac')}


def private_entry_of(image: SealedImage) -> dict:
    """What sealed metadata hides of ``image``."""
    return {name: getattr(image, name) for name in _PRIVATE}


def parse_entry(item: object, scheme: Scheme, scales: list, version: int, public: bool = False
                ) -> SealedImage:
    """The entry that `entry_of` made ``item`` of.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: It makes no sense, or is not within the
            data set's folder.
    """
    names = {name for name in SealedImage.__dataclass_fields__
             if not (public and name in _PRIVATE) and (version > 3 or name != 'plain_mac')}
    expect(isinstance(item, dict) and set(item) == names,
           f'an image has the fields {sorted(names)}')
    hidden = dict(source='', plain=None, scaled=None) if public else {}
    sizes = {name: parse_size(item[name]) for name in ('plain', 'scaled', 'size') if name in item}
    image = SealedImage(**{**hidden, **item, **sizes})
    expect(is_safe_name(image.file), f'{image.file!r:.80} is not a name within the folder')
    expect(isinstance(image.source, str), 'source is not a name')
    expect(type(image.scale) is int and 0 <= image.scale < len(scales),
           f'scale {image.scale!r:.80} is not listed')
    expect(image.file.startswith(image_folder(scales, image.scale) + '/'),
           f'{image.file!r:.200} is not in the folder of its scale')
    expect(type(image.bytes) is int and image.bytes > 0 and is_hex(image.sha256, 64),
           f'{image.file!r:.200} has no size or no digest')
    expect(is_hex(image.nonce, 32 if scheme.shuffles else 0),
           f'{image.file!r:.200} has a wrong nonce')
    expect(image.plain_mac == '' or is_hex(image.plain_mac, 32),
           f'{image.file!r:.200} has a wrong MAC of the plain file')
    if not public:
        _check_padded(image, scheme)
    return image


def _check_padded(image: SealedImage, scheme: Scheme) -> None:
    padded = tuple(-(-side // scheme.patch_size) * scheme.side for side in image.scaled)
    expect(image.size == padded, f'{image.file!r:.200}: {image.scaled} does not become '
           f'{image.size} with patch {scheme.patch_size} and grid {scheme.grid}')


def parse_size(value: object) -> tuple[int, int]:
    expect(isinstance(value, (list, tuple)) and len(value) == 2
           and all(type(side) is int and 0 < side <= MAX_SIDE for side in value),
           f'{value!r:.80} is not a size')
    return tuple(value)


def is_hex(value: object, length: int) -> bool:
    return isinstance(value, str) and re.fullmatch(f'[0-9a-f]{{{length}}}', value) is not None


def expect(condition: bool, what: str) -> None:
    """Raise ValueError of ``what`` unless ``condition``."""
    if not condition:
        raise ValueError(what)
