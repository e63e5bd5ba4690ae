"""Centering and keyed shuffling of patches as steps of an MMDetection pipeline."""
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS

from mmppvit.encryption import Key, Scheme, center_patches, check_grid, unshuffle_patches
from mmppvit.encryption.key_sources import KeySource

__all__ = ['CenterPatches', 'ShufflePatches', 'UnshufflePatches']

_DEFAULT_KEY = 'owner.key'  # in the working folder; configs name it where MMPPVIT_KEY is not set
_DEFAULT = 16, 2  # patch size and grid


class _PatchStep(BaseTransform):
    """A step on whole patches of an image that was mixed with ``grid`` or not at all (1).

    Without ``patch_size`` and ``grid``, both are those of the sealed image at hand, else 16 and 2.
    """

    def __init__(self, patch_size: int | None, grid: int | None) -> None:
        if (patch_size, grid) != (None, None):  # one of them alone is as ever
            patch_size = _DEFAULT[0] if patch_size is None else patch_size
            grid = _DEFAULT[1] if grid is None else grid
            check_grid(patch_size, grid)
        self.patch_size = patch_size
        self.grid = grid

    def sizes(self, results: dict) -> tuple[int, int]:
        """``patch_size`` and ``grid`` for an image.

        Raises:
            ValueError: Those of this step are not those that the image was sealed with.
        """
        sealed, own = results.get('sealed'), self._own_sizes
        if sealed is None:
            return own
        found = sealed['patch_size'], sealed['grid']
        if self.patch_size is not None and own != found:
            raise ValueError(f'patch_size={own[0]}, grid={own[1]}, and the image was sealed with '
                             f'{found[0]} and {found[1]}: leave both out')
        return found

    @property
    def _own_sizes(self) -> tuple[int, int]:
        return _DEFAULT if self.patch_size is None else (self.patch_size, self.grid)

    def side(self, results: dict) -> int:
        """Side of a patch in pixels of the image at hand."""
        return check_grid(*self.sizes(results))

    def transform(self, results: dict) -> dict:
        try:
            return self._transform(results)
        except (TypeError, ValueError) as err:
            hint = ''
            if 'multiple of the patch' in str(err) or '8-bit' in str(err):
                hint = ('; put MixSubPatches(patch_size={}, grid={}) '.format(*self._own_sizes) +
                        'before this step, which pads (and with grid=1 does nothing else)')
            kind = TypeError if isinstance(err, TypeError) else ValueError
            raise kind(f"{results.get('img_path') or 'image'}: {err}{hint}") from err

    def __repr__(self) -> str:
        return f'{type(self).__name__}(patch_size={self.patch_size}, grid={self.grid})'


@TRANSFORMS.register_module()
class CenterPatches(_PatchStep):
    """Take each patch's mean away: see :func:`mmppvit.encryption.center_patches`.

    It belongs after ``MixSubPatches`` and before ``ShufflePatches``. Boxes are not concerned.

    Required Keys:

    - img (np.uint8)

    Modified Keys:

    - img

    Args:
        strength (float): Share of the mean to take away, 0 to 1.
        normalize (bool): Bring the contrast of all patches to one level, too.
        patch_size (int): Side of a patch of the plain image in pixels.
        grid (int): Sub-patches per side that were mixed into one before this step.
    """

    encrypts = True

    def __init__(self,
                 strength: float = 1.,
                 normalize: bool = False,
                 patch_size: int = 16,
                 grid: int = 2) -> None:
        super().__init__(patch_size, grid)
        Scheme('mix+center', center_strength=strength, normalize=normalize)  # checks both
        self.strength = strength
        self.normalize = normalize

    def _transform(self, results: dict) -> dict:
        results['img'] = center_patches(results['img'], self.side(results), self.strength,
                                        self.normalize)
        return results

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(strength={self.strength}, normalize={self.normalize}, '
                f'patch_size={self.patch_size}, grid={self.grid})')


@TRANSFORMS.register_module()
class ShufflePatches(_PatchStep):
    """RS: shuffle the patches under a key (Hao et al., arXiv 2306.03679).

    Every image gets an order of its own, from the key, the image's id and its pixels, so that an
    image that is tested again looks the same. In training, ``fresh`` draws another order each time:
    the backbone meets an image in a new one in every epoch. The image no longer has a layout, so
    all steps on geometry come before. Boxes and masks stay in the frame of
    the image before shuffling; ``patch_order`` leads back to it, see
    :class:`mmppvit.models.KeyedOrder`.

    Required Keys:

    - img

    Modified Keys:

    - img

    Added Keys:

    - patch_order (np.int64): (N, ); place k holds patch ``patch_order[k]``, row by row.

    Args:
        key_file (str, optional): Made by ``mmppvit keygen``; default: that of the environment.
        patch_size (int, optional): Side of a patch of the plain image in pixels. Not needed for
            sealed images, which know it; of others 16 by default.
        grid (int, optional): Sub-patches per side that were mixed into one before this step; 1 for
            none. Not needed for sealed images; of others 2 by default.
        erode (int): Pixels of the image to cut away around each patch.
        drop (float): Share of the patches to blank.
        fresh (bool): Draw every order anew, from NumPy's generator, which follows the seed of the
            run. It needs no key, and is for what a training run sees itself: nothing to be stored.

    Raises:
        KeyFileError: The key file is missing, foreign, or open to others.
    """

    encrypts = True

    def __init__(self,
                 key_file: str | None = None,
                 patch_size: int | None = None,
                 grid: int | None = None,
                 erode: int = 0,
                 drop: float = 0.,
                 fresh: bool = False) -> None:
        super().__init__(patch_size, grid)
        self.erode, self.drop, self.fresh = erode, drop, fresh
        self._scheme(check_grid(*self._own_sizes))  # raises for what no patch can have
        self.key = None if fresh else load_key(key_file)

    def _scheme(self, side: int) -> Scheme:
        return Scheme('shuffle', side, 1, erode=self.erode, drop=self.drop)

    def _transform(self, results: dict) -> dict:
        if 'patch_order' in results:
            raise ValueError('the patches are shuffled already: put UnshufflePatches before '
                             'ShufflePatches')
        side = self.side(results)
        if any(length % side for length in results['img'].shape[:2]):
            raise ValueError(f'image of shape {results["img"].shape[:2]}: a side is not a '
                             f'multiple of the patch, {side} pixels')
        key = Key(self._fresh_secret()) if self.fresh else self.key
        encrypted = self._scheme(side).encrypt(results['img'], key, str(results.get('img_id', '')))
        results.update(img=encrypted.img, patch_order=encrypted.order)
        return results

    @cache_randomness
    def _fresh_secret(self) -> bytes:
        """Of one image in one epoch, and no secret: it follows from the seed of the run."""
        return np.random.bytes(32)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(key={self.key and self.key.fingerprint}, '
                f'patch_size={self.patch_size}, grid={self.grid}, erode={self.erode}, '
                f'drop={self.drop}, fresh={self.fresh})')


@TRANSFORMS.register_module()
class UnshufflePatches(_PatchStep):
    """Put shuffled patches back, for steps that need the layout, such as flips.

    Only the holder of the key can: ``patch_order`` comes from ``LoadSealedImage`` or
    ``ShufflePatches``.
    A later ``ShufflePatches`` gives the image a new order.

    Required Keys:

    - img
    - patch_order

    Modified Keys:

    - img

    Args:
        patch_size (int, optional): Side of a patch of the plain image in pixels. Not needed for
            sealed images, which know it; of others 16 by default.
        grid (int, optional): Sub-patches per side that were mixed into one. Not needed for sealed
            images; of others 2 by default.
    """

    def __init__(self, patch_size: int | None = None, grid: int | None = None) -> None:
        super().__init__(patch_size, grid)

    def _transform(self, results: dict) -> dict:
        if 'patch_order' not in results:
            raise ValueError('the image has no patch_order, so it cannot be put back: it was not '
                             'shuffled, or LoadSealedImage has no key_file')
        results['img'] = unshuffle_patches(results['img'], self.side(results),
                                           results['patch_order'])
        del results['patch_order']
        return results


def load_key(key_file: str | None) -> Key:
    """The key of a pipeline step.

    Args:
        key_file (str, optional): Its file. Without one, or with the default ``owner.key``, the
            environment is asked first: ``MMPPVIT_KEY`` and ``MMPPVIT_KEY_COMMAND``.

    Raises:
        KeyFileError: There is none, see :class:`mmppvit.encryption.key_sources.KeySource`.
    """
    named = KeySource(key_file) if key_file and key_file != _DEFAULT_KEY else KeySource().find()
    return (named or KeySource(_DEFAULT_KEY)).load()
