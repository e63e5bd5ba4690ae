"""Resizing to whole patches, as the released PEYOLOS does it."""
from __future__ import annotations

from mmdet.datasets.transforms import Resize
from mmdet.registry import TRANSFORMS

__all__ = ['ResizeToWholePatches', 'whole_patch_size']


def whole_patch_size(size: tuple[int, int], short: int, longest: int | None, patch_size: int
                     ) -> tuple[int, int]:
    """The size that an image is resized to.

    Args:
        size (tuple[int, int]): Width and height of the image, in pixels.
        short (int): The shorter side to reach.
        longest (int, optional): If the longer side would exceed it, ``short`` is made smaller.
        patch_size (int): Both sides are then rounded down to multiples of it.

    Returns:
        tuple[int, int]: Width and height.

    Raises:
        ValueError: A side is less than a patch.
    """
    least, most = min(size), max(size)
    if longest is not None and most / least * short > longest:
        short = round(longest * least / most)
    sides = tuple((short if side == least else short * side // least) // patch_size * patch_size
                  for side in size)
    if min(sides) < patch_size:
        raise ValueError(f'an image of {size[0]}x{size[1]} has no whole patch of {patch_size} at '
                         f'a shorter side of {short}: choose a larger scale')
    return sides


@TRANSFORMS.register_module()
class ResizeToWholePatches(Resize):
    """Resize to a shorter side, both sides rounded down to whole patches by the resize itself.

    Nothing is cut off and nothing is padded: the aspect ratio changes by up to a patch, and boxes
    follow each axis by its own factor. It is how the released PEYOLOS resizes (Hao et al., arXiv
    2306.03679), with PIL's bilinear filter, which averages where it shrinks. Keys are those of
    MMDetection's ``Resize``.

    Args:
        scale (tuple[int, int | None]): The shorter side, and the longest that the other may become
            before the image is made smaller; None for any.
        patch_size (int): In pixels of the plain image.
        backend (str): 'pillow', or 'cv2', which does not average.
        interpolation (str): Of the backend.
        clip_object_border (bool): Clip boxes at the border of the image.
    """

    def __init__(self, scale: tuple[int, int | None], patch_size: int = 16,
                 backend: str = 'pillow', interpolation: str = 'bilinear',
                 clip_object_border: bool = True) -> None:
        super().__init__(scale, keep_ratio=False, backend=backend, interpolation=interpolation,
                         clip_object_border=clip_object_border)
        self.patch_size = patch_size

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        results['scale'] = whole_patch_size((width, height), *self.scale, self.patch_size)
        super()._resize_img(results)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(scale={self.scale}, patch_size={self.patch_size}, '
                f'backend={self.backend!r}, interpolation={self.interpolation!r})')
