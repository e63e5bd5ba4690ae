"""What of data, preprocessor, backbone and neck can be compared before an image is loaded."""
from __future__ import annotations

from collections.abc import Iterator

from torch import nn

__all__ = ['check_preprocessor', 'check_steps', 'check_widths']

_RESIZES = {'Resize', 'RandomResize', 'RandomChoiceResize', 'RandomResizedCrop', 'FixShapeResize',
            'FixScaleResize', 'ResizeShortestEdge', 'ResizeToWholePatches', 'RandomCrop',
            'MinIoURandomCrop', 'Expand',
            'RandomAffine', 'Pad', 'Mosaic', 'MixUp', 'CachedMosaic', 'CachedMixUp', 'CopyPaste',
            'RandomCenterCropPad', 'PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'Albu', 'Rotate',
            'ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'RandomShift'}
_MIXES = {'MixSubPatches', 'MixCenterPatches'}
_PATCH_STEPS = {*_MIXES, 'CenterPatches', 'ShufflePatches', 'UnshufflePatches',
                'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PatchAlignedMosaic'}
_BATCH_RESIZES = {'BatchSyncRandomResize', 'BatchResize'}


def check_steps(dataset, model: nn.Module, loader: str) -> None:
    """Compare the steps of all pipelines of ``dataset`` with each other and with the backbone.

    Args:
        dataset: Built, perhaps within wrappers.
        model (nn.Module): The detector; only one with a PEViT says what it expects.
        loader (str): Name of the field that the data set is in.

    Raises:
        ValueError: They do not fit.
    """
    expected = _patches_of(model)
    pipelines = list(_pipelines(dataset))
    if any(getattr(step, 'reads_sealed', False) for pipeline, _ in pipelines for step in pipeline):
        expected = None  # SealedDataHook compares sealed data sets with the model
    for pipeline, packs in pipelines:
        names = [type(step).__name__ for step in pipeline]
        sizes = {(step.patch_size, step.grid): name for step, name in zip(
            pipeline, names, strict=True)
            if name in _PATCH_STEPS and step.patch_size is not None}  # None: the sealed image's
        _check_order(names, loader)
        if len(sizes) > 1:
            (a, first), (b, second), *_ = sizes.items()
            raise ValueError(
                f'{loader}: {first} is set to patch_size={a[0]}, grid={a[1]} and {second} to '
                f'patch_size={b[0]}, grid={b[1]}: give all steps of a pipeline the same')
        if expected is None or not packs:
            continue
        if not sizes and 'DownsampleImage' not in names and expected[1] > 1:
            raise ValueError(
                f'{loader} has no step that mixes, and model.backbone.grid is {expected[1]}: put '
                f"dict(type='MixSubPatches', patch_size={expected[0]}, grid={expected[1]}) before "
                'the packing step of its pipeline')
        for got, name in sizes.items():
            _compare(got, expected, name, loader)


def _compare(got: tuple, expected: tuple, name: str, loader: str) -> None:
    for field, a, b in zip(('patch_size', 'grid'), got, expected, strict=True):
        if a != b:
            raise ValueError(f'{name} in {loader} has {field}={a} and model.backbone has {field}='
                             f'{b}: set both to the same, and the strides of neck and heads to it')


def _check_order(names: list[str], loader: str) -> None:
    encrypted = [i for i, name in enumerate(names) if name in _MIXES]
    late = [name for name in names[encrypted[0] + 1:] if name in _RESIZES] if encrypted else []
    if late:
        mixes = names[encrypted[0]]
        raise ValueError(f'{late[0]} in {loader} comes after {mixes} and does not commute '
                         f'with mixing: put {mixes} after it')


def _patches_of(model: nn.Module) -> tuple[int, int] | None:
    detector = next((part for part in (model, getattr(model, 'detector', None),
                                       getattr(model, 'student', None))
                     if hasattr(part, 'backbone')), None)
    embed = getattr(getattr(detector, 'backbone', None), 'patch_embed', None)
    sizes = getattr(embed, 'patch_size', None), getattr(embed, 'grid', None)
    return sizes if all(isinstance(size, int) for size in sizes) else None


def _pipelines(dataset) -> Iterator[tuple[list, bool]]:
    """(steps, whether they pack) of all data sets below wrappers; branches one by one."""
    steps = getattr(dataset, 'pipeline', None)
    steps = getattr(steps, 'transforms', steps) or ()
    yield from _branches(list(steps))
    for part in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if part is not None and not isinstance(part, (str, bytes)):
            yield from _pipelines(part)


def _branches(steps: list) -> Iterator[tuple[list, bool]]:
    packs = any(type(step).__name__.startswith('Pack') for step in steps)
    for index, step in enumerate(steps):
        name = type(step).__name__
        if name == 'TestTimeAug':  # what comes before may have encrypted
            for way in step.subroutines:
                yield from _branches([*steps[:index], *way.transforms])
        elif name == 'MultiBranch':
            for branch in step.branch_pipelines.values():
                inner = list(branch.transforms)
                whole = [*steps[:index], *inner]
                yield whole, any(type(s).__name__.startswith('Pack') for s in inner)
    yield steps, packs


def check_preprocessor(model: nn.Module, ignore: set[str]) -> None:
    """Whether a PEViT's preprocessor pads to whole patches and resizes no mixed images.

    Raises:
        ValueError: It does not, or does.
    """
    norm = getattr(model, 'data_preprocessor', None)
    norm = getattr(norm, 'data_preprocessor', norm)
    backbone = getattr(model, 'backbone', None)
    stride = getattr(backbone, 'token_stride', None)
    if norm is None or not isinstance(stride, int):
        return
    divisor = getattr(norm, 'pad_size_divisor', None)
    if divisor is not None and 'pad_size_divisor' not in ignore and divisor % stride:
        raise ValueError(f'model.data_preprocessor.pad_size_divisor is {divisor} and the patches '
                         f'of the backbone are {stride} pixels of the encrypted image wide: set it '
                         f'to {stride} or a multiple')
    for augment in getattr(norm, 'batch_augments', None) or ():
        name = type(augment).__name__
        if name in _BATCH_RESIZES:
            raise ValueError(f'{name} in model.data_preprocessor.batch_augments resizes encrypted '
                             'images, which does not commute: resize in the pipeline, before the '
                             'encryption')
        size = getattr(augment, 'size', None)
        if name == 'BatchFixedSizePad' and any(side % stride for side in size):
            raise ValueError(f'BatchFixedSizePad in model.data_preprocessor pads to {size}, no '
                             f'whole number of patches of {stride} pixels: set size to multiples')


def check_widths(model: nn.Module) -> None:
    """Whether the neck expects the channels of the backbone.

    Raises:
        ValueError: It does not.
    """
    width = getattr(getattr(model, 'backbone', None), 'embed_dims', None)
    neck = getattr(model, 'neck', None)
    first = next(iter(neck.children()), None) if isinstance(neck, nn.Sequential) else neck
    expected = getattr(first, 'in_channels', None)
    if isinstance(width, int) and isinstance(expected, int) and width != expected:
        raise ValueError(f'model.backbone returns {width} channels and model.neck.in_channels is '
                         f'{expected}: set it to {width}')
