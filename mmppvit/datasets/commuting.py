"""Which augmentations mean the same before and after sealing, and what to use for the others."""
from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmppvit.encryption import Change, Scheme

__all__ = ['check_commutes']

_SCALE = ('rescaling does not commute with sealing: seal at the scales you train at '
          '(tools/encrypt_dataset.py --scale) and choose with scale= of the data set')
_COLOR = 'use RandomAffineColor'
_DONE = 'the files are encrypted already: leave it out'
_INSTEAD = {
    **dict.fromkeys(('Resize', 'RandomResize', 'RandomChoiceResize', 'ResizeShortestEdge',
                     'FixScaleResize', 'FixShapeResize', 'RandomResizedCrop'), _SCALE),
    **dict.fromkeys(('RandomCrop', 'MinIoURandomCrop', 'RandomCenterCropPad', 'RandomErasing',
                     'CutOut'), 'use PatchAlignedRandomCrop'),
    **dict.fromkeys(('RandomShift', 'TranslateX', 'TranslateY', 'Expand'),
                    'use PatchAlignedRandomShift'),
    **dict.fromkeys(('RandomAffine', 'Rotate', 'ShearX', 'ShearY', 'GeomTransform'),
                    'use RandomRotate90 and PatchAlignedRandomShift'),
    **dict.fromkeys(('Mosaic', 'CachedMosaic', 'MixUp', 'CachedMixUp', 'CopyPaste'),
                    'use PatchAlignedMosaic'),
    **dict.fromkeys(('PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'ColorTransform', 'Color',
                     'Brightness', 'Contrast', 'Sharpness', 'Solarize', 'SolarizeAdd', 'Posterize',
                     'Equalize', 'AutoContrast', 'Invert', 'Corrupt', 'AutoAugment', 'RandAugment',
                     'AugMix', 'Albu'), _COLOR),
    'Pad': 'set data_preprocessor.pad_size_divisor',
}
_CHANGES = {'RandomFlip': Change.TURN}  # of MMDetection; steps of this package say it themselves


def check_commutes(transforms: Iterable, scheme: Scheme, shuffled: bool | None = None) -> None:
    """Refuse pipeline steps that do not commute with ``scheme``.

    Steps of this package say what they do: ``encrypts = True``, or ``change``, a
    :class:`mmppvit.encryption.Change`, of which the scheme knows whether it commutes. A user's own
    may say so as well; those that say nothing and are not known here pass.

    Args:
        transforms (Iterable): Built steps; those within wrappers are looked at as well.
        scheme (Scheme): Of the sealed images.
        shuffled (bool, optional): Whether patches are shuffled when the first step gets them; as
            the scheme says if not given.

    Raises:
        ValueError: One does not commute; its name, and what to use instead.
    """
    shuffled = scheme.shuffles if shuffled is None else shuffled
    for step in _flatten(transforms):
        name = type(step).__name__
        reason, change = _obstacle(step, scheme), _change(step)
        if reason is not None:
            raise ValueError(f'{name} cannot be used on images sealed with scheme '
                             f'{scheme.name}: {reason}')
        if change in (Change.TURN, Change.CROP) and shuffled:
            raise ValueError(f'{name} needs the layout, and the patches are shuffled: put '
                             'UnshufflePatches before it and ShufflePatches after')
        shuffled = {'UnshufflePatches': False, 'ShufflePatches': True}.get(name, shuffled)
        side = getattr(step, 'patch_size', None), getattr(step, 'grid', None)
        if None not in side and side != (scheme.patch_size, scheme.grid):
            raise ValueError(f'{name} is set to patch_size={side[0]}, grid={side[1]}, and the '
                             f'images were sealed with {scheme.patch_size} and {scheme.grid}')
    if scheme.shuffles and not shuffled:
        raise ValueError('the pipeline ends with UnshufflePatches and without ShufflePatches: the '
                         'backbone would see the layout. Put ShufflePatches before the packing')


def _change(step: object) -> Change | None:
    return getattr(step, 'change', _CHANGES.get(type(step).__name__))


def _obstacle(step: object, scheme: Scheme) -> str | None:
    """Why a step has no meaning on images of ``scheme``; None if it has."""
    name, change = type(step).__name__, _change(step)
    if name in _INSTEAD:
        return _INSTEAD[name]
    if getattr(step, 'encrypts', False) and name != 'ShufflePatches':
        return _DONE
    return None if change is None else scheme.obstacle(change)


def _flatten(steps: Iterable) -> Iterator:
    """Steps, and those inside of RandomChoice, RandomApply, TestTimeAug, Compose and the like."""
    for step in steps:
        if isinstance(step, (list, tuple)):
            yield from _flatten(step)
            continue
        yield step
        for name in ('transforms', 'subroutines'):
            yield from _flatten(getattr(step, name, None) or ())
