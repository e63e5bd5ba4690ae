"""Where in a pipeline the encryption goes: after everything that needs the plain frame."""
from __future__ import annotations

from collections.abc import Callable

from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, Path, walk_dicts
from mmppvit.adapt.pixel_fields import divide_value

__all__ = ['encrypt_pipelines', 'is_pipeline', 'kind_of', 'move_batch_resizing', 'trains']

# Steps of the encrypted frame, or of no frame.
_AFTER = {'SegRescale', 'ToTensor', 'ImageToTensor', 'Transpose', 'WrapFieldsToLists',
          'ToDataContainer'}
# Of pipelines that test, which keep their annotations in the plain frame.
_LOADS = {'LoadAnnotations', 'LoadPanopticAnnotations', 'LoadTrackAnnotations',
          'LoadEmptyAnnotations', 'LoadProposals'}
_WHY_BATCH = 'A fixed size of the plain image, in pixels of the mixed one.'


def kind_of(step) -> str:
    """Name of a step's class without its scope."""
    return str(step.get('type')).rsplit('.', 1)[-1] if isinstance(step, dict) else ''


def is_pipeline(value) -> bool:
    """Whether ``value`` is a list of steps that ends in one that packs, alone or in branches."""
    return isinstance(value, (list, tuple)) and any(
        _packs(step) or kind_of(step) == 'TestTimeAug' for step in value)


def _packs(step) -> bool:
    """Whether a step packs: from it on, the frame of the image is the model's."""
    return kind_of(step).startswith('Pack') or (
        kind_of(step) == 'MultiBranch' and any(kind_of(v).startswith('Pack')
                                               for v in step.values()))


def encrypt_pipelines(changes: ConfigChanges, encrypt: list[dict], grid: int,
                      pack: Callable[[dict], dict]) -> int:
    """Insert ``encrypt`` into every pipeline of the config that packs.

    Pipelines without a packing step, such as those that give images to Mosaic, stay plain.

    Args:
        changes (ConfigChanges): Of the config.
        encrypt (list[dict]): The steps.
        grid (int): Sub-patches per side, for ``SegRescale``.
        pack (Callable): What becomes of a packing step.

    Returns:
        int: How many pipelines were changed.
    """
    done = 0
    for path, node in list(walk_dicts(changes.cfg, skip=('model', ))):
        for key, value in list(node.items()):
            if isinstance(key, str) and is_pipeline(value) and kind_of(node) != 'TestTimeAug':
                new = encrypt_steps(value, encrypt, grid, pack)
                if new != value:
                    changes.set((*path, key), new, _why(path, key))
                    done += 1
    return done


def _why(path: Path, key: str) -> str:
    if key == 'switch_pipeline':
        return 'The pipeline of the last epochs is encrypted as well.'
    return ''


def encrypt_steps(steps: list, encrypt: list[dict], grid: int,
                  pack: Callable[[dict], dict]) -> list:
    """``steps`` with ``encrypt`` after the last one that needs the plain frame."""
    steps = [_within(step, encrypt, grid, pack) for step in steps]
    if not any(_packs(step) for step in steps):
        return steps
    stays = _AFTER | _LOADS if _tests(steps) else _AFTER
    index = next(i for i, step in enumerate(steps) if _packs(step))
    while index and kind_of(steps[index - 1]) in stays:
        index -= 1
    after = [_rescaled(step, grid) for step in steps[index:]]
    return [*steps[:index], *encrypt, *(pack(step) for step in after)]


def _tests(steps: list) -> bool:
    """Whether annotations are loaded after all geometry, and so stay in the plain frame."""
    loads = [i for i, step in enumerate(steps) if kind_of(step) in _LOADS]
    geometry = [i for i, step in enumerate(steps)
                if kind_of(step) not in _LOADS | _AFTER and not _packs(step)
                and not kind_of(step).startswith('Load')]
    return bool(loads and geometry) and min(loads) > max(geometry)


def _within(step, encrypt: list[dict], grid: int, pack: Callable):
    """A step with the pipelines inside of it encrypted."""
    if kind_of(step) == 'TestTimeAug':
        return dict(step, transforms=_encrypt_tta(step['transforms'], encrypt, pack))
    if kind_of(step) == 'ProposalBroadcaster':
        raise CannotAdapt('ProposalBroadcaster: proposals from a file are in the plain frame; '
                          'divide them by grid in a step of your own')
    if kind_of(step) == 'MultiBranch':
        return {key: encrypt_steps(value, encrypt, grid, pack) if is_pipeline(value) else value
                for key, value in step.items()}
    return step


def _encrypt_tta(groups: list, encrypt: list[dict], pack: Callable) -> list:
    """TestTimeAug runs every combination of one step from each group."""
    index = next((i for i, group in enumerate(groups)
                  if any(kind_of(step) in _LOADS or _packs(step) for step in group)), len(groups))
    after = [[pack(step) for step in group] for group in groups[index:]]
    return [*groups[:index], *([dict(step)] for step in encrypt), *after]


def _rescaled(step, grid: int):
    if kind_of(step) == 'SegRescale':
        return dict(step, scale_factor=divide_value(step.get('scale_factor', 1), 1 / grid))
    return step


def move_batch_resizing(changes: ConfigChanges, grid: int, side: int) -> None:
    """Take the resizing of batches out of preprocessors, as it does not commute with mixing.

    The same sizes are drawn image by image in the training pipelines, before the encryption.
    Fixed sizes to pad to are divided by ``grid``.

    Raises:
        CannotAdapt: A fixed size is not whole patches.
    """
    for path, node in list(walk_dicts(changes.get(('model', )), ('model', ))):
        augments = node.get('batch_augments')
        if not augments:
            continue
        kept = []
        for augment in augments:
            kind = kind_of(augment)
            if kind == 'BatchFixedSizePad':
                kept.append(dict(augment, size=_patches(augment['size'], grid, side)))
            elif kind in ('BatchSyncRandomResize', 'BatchResize'):
                _resize_in_pipelines(changes, kind, augment)
            else:
                kept.append(augment)
        changes.set((*path, 'batch_augments'), kept or None,
                    _WHY_BATCH if kept else 'Resized before mixing instead: see the pipelines.')


def _patches(size: tuple, grid: int, side: int) -> tuple:
    new = divide_value(tuple(size), grid)
    if any(length % side for length in new):
        # Larger by less than a patch, as the images themselves.
        new = tuple(-(-int(length) // side) * side for length in new)
    return new


def _resize_in_pipelines(changes: ConfigChanges, kind: str, augment: dict) -> None:
    if kind == 'BatchResize':
        resize = dict(type='Resize', scale=tuple(augment['scale']), keep_ratio=True)
    else:
        low, high = augment['random_size_range']
        step = augment['size_divisor']
        resize = dict(
            type='RandomChoiceResize',
            scales=[(size, size) for size in range(low, high + 1, step)],
            keep_ratio=True)
    changes.note(f'{kind} of the preprocessor resized whole batches, which does not commute with '
                 f'mixing: {resize["type"]} in the pipelines draws a size for every image')
    for path, node in list(walk_dicts(changes.cfg, skip=('model', ))):
        for key, value in list(node.items()):
            # BatchResize is for testing, too; sizes are drawn for training alone.
            if is_pipeline(value) and kind_of(node) != 'TestTimeAug' and (
                    kind == 'BatchResize' or trains(path, key)):
                index = next((i for i, step in enumerate(value) if _packs(step)), None)
                if index is not None:
                    changes.set((*path, key), [*value[:index], resize, *value[index:]])


def trains(path: Path, key: str) -> bool:
    """Whether the pipeline at ``path`` and ``key`` is one of training, by its name."""
    text = '.'.join(str(part) for part in (*path, key))
    return 'test' not in text and 'val' not in text and 'tta' not in text
