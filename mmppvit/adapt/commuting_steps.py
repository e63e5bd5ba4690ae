"""Pipelines of sealed images: augmentations that commute in place of those that do not.

What replaces what is the advice of :mod:`mmppvit.datasets.commuting`, which refuses the others.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmppvit.adapt.config_changes import CannotAdapt
from mmppvit.adapt.pipeline_steps import kind_of
from mmppvit.encryption import Scheme

__all__ = ['SealedSteps']

_RESIZES = {'Resize', 'RandomResize', 'RandomChoiceResize', 'ResizeShortestEdge', 'FixScaleResize',
            'FixShapeResize', 'ResizeToWholePatches'}
_CROPS = {'RandomCrop', 'MinIoURandomCrop', 'RandomCenterCropPad', 'RandomResizedCrop'}
_SHIFTS = {'RandomShift', 'TranslateX', 'TranslateY', 'Expand', 'RandomAffine', 'Rotate', 'ShearX',
           'ShearY', 'GeomTransform'}
_COLORS = {'PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'ColorTransform', 'Color', 'Brightness',
           'Contrast', 'Sharpness', 'Solarize', 'SolarizeAdd', 'Posterize', 'Equalize',
           'AutoContrast', 'Invert', 'Corrupt', 'AutoAugment', 'RandAugment', 'AugMix', 'Albu'}
# Why a step has no counterpart at all.
_DROPPED = {
    **dict.fromkeys(('MixUp', 'CachedMixUp', 'CopyPaste', 'InstaBoost'),
                    'it blends plain images of several sizes'),
    **dict.fromkeys(('RandomErasing', 'CutOut'), 'it cuts through patches'),
    'CachedMosaic': 'PatchAlignedMosaic needs a MultiImageMixDataset',
    'Pad': 'the preprocessor pads batches',
    'SegRescale': 'segmentation maps are not sealed',
}
_TURNS = {'RandomFlip', 'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PatchAlignedMosaic'}
_REFUSED = {
    'LoadPanopticAnnotations': 'segmentation maps are not sealed, which this detector learns from: '
                               'adapt the config of one that learns boxes or instance masks',
    'ProposalBroadcaster': 'proposals from a file are in the plain frame',
    'MultiBranch': 'its branches are of labeled and unlabeled images: seal both and write the '
                   'pipelines by hand',
}


@dataclass
class SealedSteps:
    """Translates pipelines of plain images.

    Args:
        scheme (Scheme): Of the sealed images.
        key_file (str, optional): For the step that loads them.
        mosaic_scale (tuple): (w, h) of a mosaic's quarter in pixels of the sealed images.
        note (Callable): Gets a line for every replacement.
    """
    scheme: Scheme
    key_file: str | None
    mosaic_scale: tuple[int, int]
    note: Callable[[str], None]
    _sizes: dict = field(init=False)

    def __post_init__(self) -> None:
        self._sizes = dict(patch_size=self.scheme.patch_size, grid=self.scheme.grid)

    def train(self, steps: list) -> list:
        """A training pipeline, from loading to packing."""
        new = self._translated(steps, train=True)
        if not self.scheme.shuffles or not any(_turns(step) for step in new):
            return new
        first = next(i for i, step in enumerate(new) if _turns(step))
        last = len(new) - ('Pack' in kind_of(new[-1]))
        return [*new[:first], dict(type='UnshufflePatches'), *new[first:last],
                # The backbone meets an image in a new order in every epoch.
                dict(type='ShufflePatches', fresh=True), *new[last:]]

    def test(self, steps: list) -> list:
        """A pipeline of tests or of TTA: results are scored in the plain frame."""
        return self._translated(steps, train=False)

    def _translated(self, steps: list, train: bool) -> list:
        new: list = []
        for step in steps:
            for item in self._step(step, train):
                # One of a kind: several color steps become one.
                if item not in new:
                    new.append(item)
        return new

    def _step(self, step: dict, train: bool) -> list[dict]:
        """What a step becomes: nothing, one or itself."""
        kind = kind_of(step)
        if kind in _REFUSED:
            raise CannotAdapt(f'{kind} has no counterpart for sealed images: {_REFUSED[kind]}')
        if kind in ('LoadImageFromFile', 'LoadImageFromNDArray', 'FilterAnnotations'):
            return [self._load()] if kind.startswith('LoadImage') else [step]
        if kind == 'LoadAnnotations':
            return [self._annotations(step, train)]
        if kind == 'PackDetInputs':
            return [dict(step, type='PackSealedInputs')]
        if kind == 'TestTimeAug':
            return self._test_time(step)
        if kind in ('RandomChoice', 'RandomApply', 'TransformBroadcaster', 'RandomOrder'):
            return self._wrapper(step, train)
        return self._augmentation(step, kind)

    def _load(self) -> dict:
        key = {} if self.key_file is None else dict(key_file=self.key_file)
        return dict(type='LoadSealedImage', **key)

    def _annotations(self, step: dict, train: bool) -> dict:
        if step.get('with_seg'):
            if train:
                raise CannotAdapt('LoadAnnotations(with_seg=True): segmentation maps are not '
                                  'sealed, which this detector learns from: adapt the config of '
                                  'one that learns boxes or instance masks')
            step = dict(step, with_seg=False)
        return dict(step, type='LoadSealedAnnotations') if train else step

    def _augmentation(self, step: dict, kind: str) -> list[dict]:
        new: dict | None = step
        why = ''
        if kind in _RESIZES:
            new, why = None, 'rescaling does not commute, images keep the scale of the sealed files'
        elif kind in _CROPS:
            new = self._crop(step, kind)
        elif kind in _SHIFTS:
            new = dict(type='PatchAlignedRandomShift', **self._sizes)
        elif kind in _COLORS:
            new = dict(type='RandomAffineColor', center_strength=self.scheme.center_strength)
            if self.scheme.center_strength == 0:
                del new['center_strength']
        elif kind == 'Mosaic':
            new, why = self._mosaic(step)
        elif kind in _DROPPED:
            new, why = None, _DROPPED[kind]
        if new is not step:
            self.note(f'{kind} is left out: {why}' if new is None else
                      f'{kind} became {new["type"]}, which commutes with {self.scheme.name}')
        return [] if new is None else [new]

    def _crop(self, step: dict, kind: str) -> dict:
        crop = dict(type='PatchAlignedRandomCrop', crop_size=(.6, .6), crop_type='relative_range',
                    **self._sizes)
        if kind == 'RandomCrop':
            kept = ('allow_negative_crop', 'recompute_bbox', 'bbox_clip_border')
            crop.update({key: step[key] for key in kept if key in step})
            size, how = step['crop_size'], step.get('crop_type', 'absolute')
            if how.startswith('absolute'):
                side = self.scheme.side
                # At least a patch, in pixels of the sealed image.
                size = tuple(max(length // self.scheme.grid, side) for length in size)
            crop.update(crop_size=size, crop_type=how)
        return crop

    def _mosaic(self, step: dict) -> tuple[dict | None, str]:
        if self.scheme.shuffles:
            return None, 'mosaics need the layout of four images, and they are shuffled'
        kept = {key: step[key] for key in ('prob', 'center_ratio_range') if key in step}
        return dict(type='PatchAlignedMosaic', img_scale=self.mosaic_scale, **kept,
                    **self._sizes), ''

    def _wrapper(self, step: dict, train: bool) -> list[dict]:
        """RandomChoice and the like, whose pipelines may become empty."""
        inner = step['transforms']
        if kind_of(step) == 'RandomChoice':
            new = [self._translated(part if isinstance(part, (list, tuple)) else [part], train)
                   for part in inner]
        else:
            new = self._translated(inner if isinstance(inner, (list, tuple)) else [inner], train)
        return [dict(step, transforms=new)] if any(new) else []

    def _test_time(self, step: dict) -> list[dict]:
        """Every combination of one step from each group, without the groups that resize."""
        groups = [self._group(group) for group in step['transforms']]
        groups = [group for group in groups if group]
        if self.scheme.shuffles and any(_turns(item) for group in groups for item in group):
            place = next(i for i, group in enumerate(groups) if any(map(_turns, group)))
            groups[place + 1:place + 1] = [[dict(type='ShufflePatches', fresh=True)]]
            groups[place:place] = [[dict(type='UnshufflePatches')]]
        return [dict(step, transforms=groups)]

    def _group(self, group: list) -> list[dict]:
        return [item for step in group for item in self._step(step, train=False)]


def _turns(step: dict) -> bool:
    """Whether a step, or one within it, needs the layout of the image."""
    inner = step.get('transforms')
    if isinstance(inner, (list, tuple)):
        parts = [item for part in inner
                 for item in (part if isinstance(part, (list, tuple)) else [part])]
        return any(_turns(part) for part in parts)
    return kind_of(step) in _TURNS
