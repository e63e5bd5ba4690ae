"""A config's data replaced by sealed data sets, of which the plain images are not there."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmppvit.adapt.commuting_steps import SealedSteps
from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, walk_dicts
from mmppvit.adapt.pipeline_steps import is_pipeline, kind_of, trains
from mmppvit.datasets.transforms.shuffle_transforms import load_key
from mmppvit.encryption import Scheme
from mmppvit.sealed import ANNOTATIONS, MANIFEST, Manifest

__all__ = ['SealedFolders', 'find_sealed', 'use_sealed']

_LOADERS = ('train', 'val', 'test')
# Wrappers of one data set that keep their meaning.
_KEPT_WRAPPERS = {'RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset'}


class SealedFolders:
    """Sealed data sets of training and validation.

    Args:
        train (Manifest): What is trained on.
        val (Manifest, optional): What is validated and tested on.
        key_file (str, optional): Of their key, for shuffled images and sealed metadata.

    Raises:
        CannotAdapt: A detector cannot be trained on them.
        ManifestError: The key did not sign them.
    """

    def __init__(self, train: Manifest, val: Manifest | None, key_file: str | None) -> None:
        self.train, self.val, self.key_file = train, val, key_file
        for manifest in filter(None, (train, val)):
            _open(manifest, key_file)
            if manifest.scheme.needs_protector:
                raise CannotAdapt(f'{manifest.root} was sealed by a learned protector, for a '
                                  'detector that stays as it is: docs/learned-protection.md says '
                                  'how to train and run that')
            if manifest.annotations is None and manifest.sealed_metadata is None:
                raise CannotAdapt(f'{manifest.root} was sealed without annotations: seal it with '
                                  '--ann')
        if val is not None and val.scheme != train.scheme:
            raise CannotAdapt(f'{train.root} was sealed with {train.scheme} and {val.root} with '
                              f'{val.scheme}: seal both with one scheme')

    @property
    def scheme(self) -> Scheme:
        return self.train.scheme

    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the training set."""
        return tuple(item['name'] for item in self.train.read_annotations()['categories'])


def _open(manifest: Manifest, key_file: str | None) -> None:
    """Check the key that is given, which opens sealed metadata; refuse where one is missing."""
    if key_file is not None:
        manifest.check_key(load_key(key_file))
    elif manifest.scheme.shuffles or manifest.sealed_metadata is not None:
        what = 'is shuffled' if manifest.scheme.shuffles else 'has sealed metadata'
        raise CannotAdapt(f'{manifest.root} {what}: give its key with --key-file')


def find_sealed(folder: str | Path, key_file: str | None = None) -> SealedFolders:
    """Sealed data sets in ``folder``, or below it as train* and val* or test*.

    Args:
        folder (str | Path): It.
        key_file (str, optional): Of their key, for shuffled images and sealed metadata.

    Raises:
        CannotAdapt: There is none, one cannot be trained on, or the key is missing.
        ManifestError: One is not valid, or the key did not sign it.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        beside = _below(folder.parent, ('val', 'test'))
        if beside is not None and beside.resolve() == folder.resolve():
            beside = None
        return SealedFolders(Manifest.load(folder), beside and Manifest.load(beside), key_file)
    train = _below(folder, ('train', ))
    if train is None:
        raise CannotAdapt(f'{folder} has no {MANIFEST}, and no folder train* with one: name what '
                          '`mmppvit seal` wrote, or the folder that has train and val')
    val = _below(folder, ('val', 'test'))
    return SealedFolders(Manifest.load(train), val and Manifest.load(val), key_file)


def _below(folder: Path, names: tuple[str, ...]) -> Path | None:
    for name in names:
        for path in sorted(folder.glob(f'{name}*')):
            if (path / MANIFEST).is_file():
                return path
    return None


def use_sealed(changes: ConfigChanges, sealed: SealedFolders) -> None:
    """Replace data sets, pipelines, evaluators and class counts.

    Args:
        changes (ConfigChanges): Of the config.
        sealed (SealedFolders): What is trained and validated on.

    Raises:
        CannotAdapt: A step or an annotation has no counterpart.
    """
    masks = any(node.get('with_mask') for _, node in
                walk_dicts(changes.get(('train_dataloader', ))) if 'Load' in kind_of(node))
    steps = SealedSteps(sealed.scheme, sealed.key_file, _mosaic_scale(sealed.train), changes.note)
    _translate_pipelines(changes, steps)
    _translate_switches(changes)
    old = _count_classes(changes)
    _set_classes(changes, old, len(sealed.classes()))
    for name in _LOADERS:
        _replace_loader(changes, name, sealed)
    _replace_evaluators(changes, sealed, masks)


def _mosaic_scale(manifest: Manifest) -> tuple[int, int]:
    """Half of the largest sealed image, in whole patches: four of these fill one image."""
    scheme = manifest.scheme
    sides = [max(image.scaled[axis] for image in manifest.images) for axis in (0, 1)]
    return tuple(-(-side // (2 * scheme.patch_size)) * scheme.side for side in sides)


def _translate_pipelines(changes: ConfigChanges, steps: SealedSteps) -> None:
    for path, node in list(walk_dicts(changes.cfg, skip=('model', ))):
        for key, value in list(node.items()):
            if not isinstance(key, str) or kind_of(node) in ('TestTimeAug', 'RandomChoice') \
                    or not _is_steps(value):
                continue
            if not is_pipeline(value):  # what MultiImageMix mixes
                new = steps.train(value)
            else:
                new = steps.train(value) if trains(path, key) else steps.test(value)
            if new != value:
                changes.set((*path, key), new)


def _translate_switches(changes: ConfigChanges) -> None:
    """YOLOX's hook names the steps that its last epochs do without."""
    for path, node in list(walk_dicts(changes.get(('custom_hooks', )) or [], ('custom_hooks', ))):
        if kind_of(node) == 'YOLOXModeSwitchHook':
            changes.set((*path, 'skip_type_keys'), ('PatchAlignedMosaic',
                                                    'PatchAlignedRandomShift'))


def _is_steps(value) -> bool:
    """Whether ``value`` is a pipeline that loads or packs."""
    return is_pipeline(value) or (isinstance(value, (list, tuple)) and any(
        kind_of(step).startswith('LoadImage') for step in value))


def _replace_loader(changes: ConfigChanges, name: str, sealed: SealedFolders) -> None:
    loader = changes.get((f'{name}_dataloader', ))
    if not loader:
        return
    manifest = sealed.train if name == 'train' else sealed.val
    if manifest is None:
        for field in ('dataloader', 'evaluator', 'cfg'):
            changes.set((f'{name}_{field}', ), None,
                        'There is no sealed set to validate on.' * (field == 'dataloader'))
        changes.note(f'no {name} set: there is no folder val* or test* of a sealed set beside '
                     f'{sealed.train.root}')
        return
    dataset = _replaced(loader['dataset'], _leaf(manifest, sealed.classes()), changes.note)
    changes.set((f'{name}_dataloader', 'dataset'), dataset,
                f'Sealed with {sealed.scheme.name}: the plain images are not needed.')


def _leaf(manifest: Manifest, classes: tuple[str, ...]) -> dict:
    """The data set of ``manifest``, without its pipeline."""
    leaf = dict(type='SealedCocoDataset', data_root=str(manifest.root.parent),
                sealed=manifest.root.name, metainfo=dict(classes=classes))
    if len(manifest.scales) > 1:
        leaf['scale'] = 'random'
    return leaf


def _replaced(dataset: dict, leaf: dict, note: Callable[[str], None]) -> dict:
    """``dataset`` with ``leaf`` in place of its images, within the wrappers that stay."""
    kind = kind_of(dataset)
    if kind in _KEPT_WRAPPERS:
        return dict(dataset, dataset=_replaced(dataset['dataset'], leaf, note))
    if 'datasets' in dataset:
        note(f'{kind} of {len(dataset["datasets"])} data sets became the one sealed set')
        return _replaced(dataset['datasets'][0], leaf, note)
    if 'dataset' in dataset:
        note(f'{kind} is left out: the sealed set stands alone')
        return _replaced(dataset['dataset'], leaf, note)
    kept = {key: dataset[key] for key in ('filter_cfg', 'test_mode', 'pipeline', 'indices')
            if key in dataset}
    if kept.get('test_mode') and 'scale' in leaf:
        raise CannotAdapt(f'{leaf["data_root"]}/{leaf["sealed"]} was sealed at several scales: '
                          'seal what is validated on at one')
    return {**leaf, **kept}


def _count_classes(changes: ConfigChanges) -> int | None:
    """Classes of the stock heads: what most of them say."""
    counts = Counter(node[key] for path, node in walk_dicts(changes.get(('model', )))
                     for key in ('num_classes', 'num_things_classes')
                     if isinstance(node.get(key), int) and 'RPN' not in kind_of(node))
    return counts.most_common(1)[0][0] if counts else None


def _set_classes(changes: ConfigChanges, old: int | None, new: int) -> None:
    if old is None or old == new:
        return
    why = f'Classes of the sealed set; {old} in the stock config.'
    for path, node in list(walk_dicts(changes.get(('model', )), ('model', ))):
        for key in ('num_classes', 'num_things_classes'):
            if node.get(key) == old and 'RPN' not in kind_of(node):
                changes.set((*path, key), new, why)
        weights = node.get('class_weight')
        if isinstance(weights, (list, tuple)) and len(weights) == old + 1:
            changes.set((*path, 'class_weight'), [*[weights[0]] * new, weights[-1]])


def _replace_evaluators(changes: ConfigChanges, sealed: SealedFolders, masks: bool) -> None:
    val = sealed.val
    if val is None:
        return
    for name in ('val_evaluator', 'test_evaluator'):
        old = changes.get((name, ))
        if not old:
            continue
        if isinstance(old, dict) and kind_of(old) == 'CocoMetric':
            metric = dict(old)
        else:
            metric = dict(type='CocoMetric', metric=['bbox', 'segm'] if masks else 'bbox')
            changes.note(f'{name} became CocoMetric')
        if val.sealed_metadata is None:
            metric['ann_file'] = str(val.root / ANNOTATIONS)
        else:
            metric.pop('ann_file', None)
            metric.update(type='SealedCocoMetric', sealed=str(val.root), key_file=sealed.key_file)
        changes.set((name, ), metric)
