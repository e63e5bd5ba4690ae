"""Schemes: which of mix, center and shuffle an image goes through, and with what parameters."""
from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import ClassVar, NamedTuple

import numpy as np

from mmppvit.encryption.centering import center_patches
from mmppvit.encryption.continuity import continues_over_borders, lies_in_order
from mmppvit.encryption.gained_centering import check_gain, mix_and_center
from mmppvit.encryption.keys import Key, permutation
from mmppvit.encryption.marks import has_gray_borders, has_middle_means, starts_gray
from mmppvit.encryption.mixing import mix_sub_patches
from mmppvit.encryption.patches import check_grid, pad_to_patches
from mmppvit.encryption.shuffling import blank_patches, erode_patches, shuffle_patches

__all__ = ['SCHEMES', 'Change', 'EncryptedImage', 'Scheme']

# Centering without mixing is not offered: a jigsaw solver that ignores offsets undoes it.
SCHEMES = ('mix', 'shuffle', 'mix+shuffle', 'mix+center', 'mix+center+shuffle')


class Change(Enum):
    """What augmentation does to an image that is encrypted already, see :meth:`Scheme.obstacle`."""
    TURN = 'flips, and turns by 90 degrees'
    CROP = 'whole patches that are cut away, moved, or put beside those of other images'
    COLOR = 'gain and bias of the levels'


class EncryptedImage(NamedTuple):
    """What :meth:`Scheme.encrypt` makes of one image.

    ``img``: uint8. ``order``: int64 (N, ) or None; place k holds patch ``order[k]``. ``nonce``: 16
    bytes, needed with the key to find the order again; None for schemes without a key.
    """
    img: np.ndarray
    order: np.ndarray | None
    nonce: bytes | None


@dataclass(frozen=True)
class Scheme:
    """Mix, center, shuffle: those that ``name`` has, in this order.

    A scheme answers for itself: code elsewhere asks it what it does and never for its name, so
    that another scheme is another subclass and an entry in
    :mod:`mmppvit.encryption.schemes.scheme_kinds`. Subclasses set ``names``, and where it differs
    ``format_version`` (the oldest version of the manifest that has them), ``baseline`` (whether
    people know it from elsewhere and others are compared with it) and ``needs_protector`` (whether
    a trained network encrypts, for a detector that stays as it is).

    Args:
        name (str): One of :data:`SCHEMES`.
        patch_size (int): Side of a patch in pixels of the plain image.
        grid (int): Sub-patches per side that are mixed into one; 1 for schemes that do not mix.
        center_strength (float): See :func:`center_patches`; 0 for schemes that do not center.
        normalize (bool): See :func:`center_patches`.
        erode (int): Pixels of the encrypted image cut away around each patch, see
            :func:`erode_patches`.
        drop (float): Share of the patches that are blanked, at random under the key.
        gain (float): Factor of the texture of centered patches, see :func:`mix_and_center`. 1 for
            schemes that do not center; other gains exclude ``normalize``.

    Raises:
        ValueError: A parameter is out of range, or has no meaning for this scheme.
    """
    name: str = 'mix'
    patch_size: int = 16
    grid: int = 2
    center_strength: float = 0.
    normalize: bool = False
    erode: int = 0
    drop: float = 0.
    gain: float = field(default=1., kw_only=True)
    names: ClassVar[tuple[str, ...]] = SCHEMES
    format_version: ClassVar[int] = 1
    baseline: ClassVar[bool] = False
    needs_protector: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.name not in self.names:
            raise ValueError(f'no scheme {self.name!r}: choose one of {list(self.names)}')
        self._check_types()
        side = check_grid(self.patch_size, self.grid)
        if not self.shrinks and self.grid != 1:
            raise ValueError(f'scheme {self.name} does not mix, so grid must be 1, not {self.grid}')
        self._check_centering()
        if not self.shuffles and (self.erode or self.drop):
            raise ValueError(f'scheme {self.name} does not shuffle: erode and drop must be 0')
        if not 0 <= 2 * self.erode < side:
            raise ValueError(f'erode {self.erode} leaves nothing of a patch of {side} pixels')
        if not 0 <= self.drop < 1:
            raise ValueError(f'drop must be at least 0 and less than 1, got {self.drop}')

    def _check_centering(self) -> None:
        if not 0 <= self.center_strength <= 1:
            raise ValueError(
                f'center_strength must lie between 0 and 1, got {self.center_strength}')
        if not self.centers and (self.center_strength or self.normalize):
            raise ValueError(f'scheme {self.name} does not center: center_strength must be 0 and '
                             'normalize False')
        if self.gain == 1:
            return
        if not self.centers:
            raise ValueError(f'scheme {self.name} does not center: gain must be 1')
        if self.normalize:
            raise ValueError(f'normalize sets the contrast of every patch: gain must be 1, not '
                             f'{self.gain}')
        check_gain(self.gain, self.center_strength)

    @classmethod
    def _parameters(cls) -> list[Field]:
        """The fields that a file has of the scheme."""
        return list(fields(cls))

    def _check_types(self) -> None:
        for item in self._parameters():
            value, default = getattr(self, item.name), item.default
            kind = type(item.default_factory() if default is MISSING else default)
            number = kind is float and type(value) is int
            if type(value) is not kind and not number:
                raise ValueError(f'{item.name} must be of type {kind.__name__}, got {value!r}')
            if number:  # 1 and 1.0 are one scheme, also in a file
                object.__setattr__(self, item.name, float(value))

    @property
    def mixes(self) -> bool:
        return 'mix' in self.name

    @property
    def shrinks(self) -> bool:
        """Whether the encrypted image has side 1 / ``grid``."""
        return self.mixes

    @property
    def centers(self) -> bool:
        return 'center' in self.name

    @property
    def shuffles(self) -> bool:
        """Whether a key is needed."""
        return 'shuffle' in self.name

    @property
    def restorable(self) -> bool:
        """Whether the key brings the padded plain image back, bit for bit."""
        return not self.losses()

    @property
    def noisy(self) -> bool:
        """Whether an image's id changes its pixels, and not their order alone."""
        return False

    @property
    def side(self) -> int:
        """Side of a patch in pixels of the encrypted image."""
        return self.patch_size // self.grid

    def losses(self) -> list[str]:
        """Why nobody can undo it, one reason each; empty if the key can."""
        reasons = self._losses_of_hiding()
        if self.centers:
            reasons.append('centering took the means of the patches away')
        if self.erode:
            reasons.append('the borders of the patches were cut away')
        if self.drop:
            reasons.append(f'{self.drop:.0%} of the patches were dropped')
        return reasons

    def _losses_of_hiding(self) -> list[str]:
        """What is lost in the first step, before centering."""
        if not self.mixes:
            return []
        return [f'mixing keeps 1 of {self.grid**2} numbers, and no key brings the others back']

    def obstacle(self, change: Change) -> str | None:
        """Why ``change`` of the encrypted image is not that of the plain one; None if it is.

        Shuffling is not judged here: pipelines undo it where they need the layout.
        """
        return None

    def looks_plain(self, img: np.ndarray) -> bool:
        """Whether an image lacks the marks of this scheme, so that it was not encrypted with it.

        Eroded patches have gray borders, dropped ones are gray and come first, centered ones have
        means near 128. Of shuffled patches the neighbors are strangers, and mixed ones do not
        continue each other. Whether centered patches are shuffled is not judged. An encrypted
        image never lacks marks but by the rarest chance; a plain one may pass, such as an empty
        page.

        Args:
            img (ndarray): uint8, (H, W, C), sides multiples of ``side``.
        """
        count = img.shape[0] // self.side * (img.shape[1] // self.side)
        if self.drop and not starts_gray(img, self.side, int(self.drop * count)):
            return True
        if self.erode:
            return not has_gray_borders(img, self.side, self.erode)
        if self.centers:
            return not has_middle_means(img, self.side, self.center_strength)
        if self.shuffles:  # what was dropped lies together
            return not self.drop and lies_in_order(img, self.side)
        return self._lacks_marks_of_hiding(img)

    def _lacks_marks_of_hiding(self, img: np.ndarray) -> bool:
        """Whether an image of patches in order lacks the marks of the first step."""
        return continues_over_borders(img, self.side)

    def describe(self) -> str:
        """The scheme and its parameters in a few words."""
        words = [self.name, f'patches of {self.patch_size} pixels']
        if self.grid > 1:
            words.append(f'grid {self.grid}')
        for name, value in self.to_dict().items():
            if name not in ('name', 'patch_size', 'grid') and value:
                words.append(name.replace('_', ' ') + ('' if value is True else f' {value:g}'))
        return ', '.join(words)

    def to_dict(self) -> dict:
        """Every parameter, as JSON has them; a gain of 1 is left out, as older files have none."""
        data = {item.name: getattr(self, item.name) for item in self._parameters()}
        if self.gain == 1:
            del data['gain']
        return data

    @classmethod
    def from_dict(cls, data: dict) -> Scheme:
        """The scheme in ``data``, which has every parameter but perhaps the gain, and nothing else.

        Raises:
            ValueError: It does not.
        """
        names = {item.name for item in cls._parameters()}
        if not isinstance(data, dict) or set(data) | {'gain'} != names:
            raise ValueError(f'a scheme has the fields {sorted(names - {"gain"})}, and a gain if '
                             'it is not 1')
        return cls(**data)

    def encrypt(self, img: np.ndarray, key: Key | None = None, image_id: str = '',
                pad_val: float | str = 0) -> EncryptedImage:
        """Pad to whole patches, then mix, center and shuffle as the scheme says.

        Args:
            img (ndarray): uint8, (H, W) or (H, W, C).
            key (Key, optional): Needed by schemes that shuffle.
            image_id (str): Goes into nonce and sub-key, with the content.
            pad_val (float | str): Value of padded pixels, or 'mirror': :func:`pad_to_patches`.

        Raises:
            TypeError: The image is not uint8.
            ValueError: It is smaller than a patch, or the scheme needs a key and has none.
        """
        img = self.in_order(img, image_id, pad_val)
        if not self.shuffles:
            return EncryptedImage(img, None, None)
        if key is None:
            raise ValueError(f'scheme {self.name} needs a key')
        # The id as well: equal images under two names must not be seen by equal nonces.
        nonce = key.nonce(image_id.encode(errors='surrogatepass'), img)
        order = self.order(key, image_id, nonce, img.shape)
        img = blank_patches(img, self.side, order[:int(self.drop * len(order))])
        return EncryptedImage(shuffle_patches(img, self.side, order), order, nonce)

    def in_order(self, img: np.ndarray, image_id: str = '',
                 pad_val: float | str = 0) -> np.ndarray:
        """The encrypted image before patches are dropped and shuffled, which needs no key.

        Arguments and errors are those of :meth:`encrypt`.
        """
        if self.gain != 1:
            img = mix_and_center(pad_to_patches(img, self.patch_size, pad_val), self.patch_size,
                                 self.grid, self.center_strength, self.gain)
        else:
            img = self._hide(img, image_id, pad_val)
            if self.centers:
                img = center_patches(img, self.side, self.center_strength, self.normalize)
        return erode_patches(img, self.side, self.erode)

    def _hide(self, img: np.ndarray, image_id: str, pad_val: float | str) -> np.ndarray:
        """The first step, and padding to whole patches."""
        return mix_sub_patches(pad_to_patches(img, self.patch_size, pad_val), self.patch_size,
                               self.grid)

    def order(self, key: Key, image_id: str, nonce: bytes, shape: tuple[int, ...]) -> np.ndarray:
        """int64 (N, ): the patches of an encrypted image of ``shape`` (H, W, ...) in its order."""
        count = shape[0] // self.side * (shape[1] // self.side)
        return permutation(key.sub_key(image_id, nonce), count)
