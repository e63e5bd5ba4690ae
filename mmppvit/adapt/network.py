"""Backbone and neck: a PEViT whose pyramid gives the levels that the heads expect."""
from __future__ import annotations

from itertools import pairwise
from statistics import median

from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, Path
from mmppvit.adapt.pyramid_levels import Level, LevelsUnknown, measure_backbone, measure_neck

__all__ = ['detector_path', 'refuse_model', 'replace_network']

# Necks that do nothing but bring a backbone's maps to one width and add levels.
PLAIN_NECKS = {'FPN', 'ChannelMapper', 'HRFPN', 'SSDNeck', 'FPN_DropBlock', 'NASFCOS_FPN'}
# Heads that view what their convolutions return.
_VIEWING_HEADS = {'CenterNetHead', 'CornerHead', 'CentripetalHead'}
# Levels that a SimpleFeaturePyramid computes from the tokens; further ones are subsampled.
MAX_COMPUTED = 4

_TRACKER = ('it reads videos: adapt the config of its detector, train that, and set model.detector '
            'to the adapted model by hand')
_TEACHER = ('its teacher is a trained network for plain images: adapt and train the teacher first, '
            "then adapt the student's plain config and set teacher_config and teacher_ckpt by hand")
_REFUSED = {
    **dict.fromkeys(('ByteTrack', 'DeepSORT', 'SORT', 'OCSORT', 'StrongSORT', 'QDTrack',
                     'MaskTrackRCNN', 'Mask2FormerVideo', 'QDTrackModel'), _TRACKER),
    **dict.fromkeys(('KnowledgeDistillationSingleStageDetector', 'LAD'), _TEACHER),
    'BaseReID': 'it classifies crops and detects nothing: tools/train_classifier.py trains '
                'classifiers on encrypted images',
    'ImageClassifier': 'it classifies and detects nothing: tools/train_classifier.py trains '
                       'classifiers on encrypted images',
    'Detectron2Wrapper': 'its model is one of detectron2: adapt the MMDetection config of the same '
                         'detector',
    'FastRCNN': 'it reads proposals from a file, whose boxes are in the plain frame: adapt '
                'faster_rcnn, or divide the proposals by grid in a step of your own',
}
_REFUSED_BACKBONES = {
    'DetectoRS_ResNet': 'its neck feeds the pyramid back into the stages of that ResNet, which a '
                        'PEViT does not have: adapt htc or cascade_rcnn',
    'TridentResNet': 'the branches of its heads are dilated convolutions of that ResNet: '
                     'keep_backbone=True keeps it, or adapt faster_rcnn',
}


def detector_path(changes: ConfigChanges) -> Path:
    """Where the dict with ``backbone`` is: ``model``, or the detector within it."""
    model = changes.get(('model', ))
    if not isinstance(model, dict):
        raise CannotAdapt('the config has no model: name the config of a detector')
    for path in (('model', ), ('model', 'detector')):
        if isinstance(changes.get((*path, 'backbone')), dict):
            return path
    refuse_model(model)
    raise CannotAdapt(f'model {model.get("type")} has no backbone that could be replaced: write '
                      'the encrypted config by hand, docs/adapt.md says how')


def refuse_model(model: dict) -> None:
    """Raise CannotAdapt for detectors that have no encrypted counterpart, whatever the backbone."""
    kind = str(model.get('type')).rsplit('.', 1)[-1]
    if kind in _REFUSED:
        raise CannotAdapt(f'{kind} cannot be adapted: {_REFUSED[kind]}')


def replace_network(changes: ConfigChanges, root: Path, backbone: dict, width: int,
                    stride: int) -> list[int]:
    """Put ``backbone`` in, and the pyramid that stands in for what the stock one returned.

    Args:
        changes (ConfigChanges): Of the config.
        root (Path): Where the detector is.
        backbone (dict): Config of the PEViT.
        width (int): D, its channels.
        stride (int): Its stride in pixels of the plain image, the patch size.

    Returns:
        list[int]: Strides of the levels that the heads get, in pixels of the plain image.

    Raises:
        CannotAdapt: The heads need something of the stock backbone.
    """
    detector = changes.get(root)
    old = detector['backbone']
    kind = str(old.get('type')).rsplit('.', 1)[-1]
    if kind in _REFUSED_BACKBONES and (kind != 'DetectoRS_ResNet' or old.get('output_img')):
        raise CannotAdapt(f'{kind} cannot be replaced: {_REFUSED_BACKBONES[kind]}')
    levels = _levels_of(changes, root, old, kind)
    changes.set((*root, 'backbone'), backbone,
                'A vision transformer without positions in place of the ' + kind + '.')
    return _replace_neck(changes, root, levels, width, stride)


def _levels_of(changes: ConfigChanges, root: Path, backbone: dict, kind: str) -> list[Level]:
    """Levels of the stock backbone: as it runs, or else as its neck expects them."""
    try:
        return measure_backbone(backbone)
    except LevelsUnknown as err:
        neck = changes.get((*root, 'neck'))
        first = neck[0] if isinstance(neck, list) else neck
        widths = (first or {}).get('in_channels')
        if isinstance(widths, (list, tuple)) and len(widths) in (3, 4):
            changes.note(f'{kind} does not run here, so its levels were taken to be the usual ones '
                         f'of {len(widths)}: strides up to 32')
            return [Level(width, 2**(k + 6 - len(widths))) for k, width in enumerate(widths)]
        raise CannotAdapt(f'the maps that {kind} returns are unknown, as it does not run here '
                          f'({str(err)[:120]}): write backbone, neck and strides by hand, '
                          'docs/adapt.md says how') from err


def _replace_neck(changes: ConfigChanges, root: Path, levels: list[Level], width: int,
                  stride: int) -> list[int]:
    neck = changes.get((*root, 'neck'))
    first, *rest = neck if isinstance(neck, list) else [neck]
    kind = str((first or {}).get('type')).rsplit('.', 1)[-1]
    if first is None:  # the heads read the backbone's maps themselves
        pyramid = _pyramid(levels, width, stride)
        _set_neck(changes, root, [pyramid], 'The maps that the heads read from the backbone.')
        _set_head_channels(changes, root, levels, pyramid['out_channels'])
        return [level.stride for level in levels]
    if kind in PLAIN_NECKS:
        outs = _outputs(first, levels, kind)
        pyramid = _pyramid(outs, width, stride)
        _set_neck(changes, root, [pyramid, *rest],
                  f'The levels of the {kind}, from the one map of the transformer.')
        if len({level.channels for level in outs}) > 1:
            _set_head_channels(changes, root, outs, pyramid['out_channels'])
        return [level.stride for level in outs]
    inner = _inner_width(first, levels)
    pyramid = _pyramid([Level(inner, level.stride) for level in levels], width, stride)
    old = first['in_channels']
    kept = dict(first, in_channels=type(old)([inner] * len(old)) if isinstance(
        old, (list, tuple)) else inner)
    _set_neck(changes, root, [pyramid, kept, *rest],
              f'The {kind} stays; the pyramid before it gives the maps that it expects.')
    used = [Level(inner, level.stride) for level in levels]
    return [level.stride for level in _outputs([kept, *rest], used, kind)]


def _outputs(neck: dict | list, levels: list[Level], kind: str) -> list[Level]:
    """Levels that a stock neck makes from ``levels``."""
    if kind == 'SSDNeck':  # its last maps halve only in images of one size
        return [Level(width, levels[0].stride * 2**k)
                for k, width in enumerate(neck['out_channels'])]
    try:
        return measure_neck(neck, levels)
    except LevelsUnknown as err:
        # Operators of the compiled mmcv that it may lack; all of these add levels at the end.
        one = neck[0] if isinstance(neck, list) else neck
        if 'num_outs' not in one:
            raise CannotAdapt(f'the maps that {kind} returns are unknown, as it does not run here '
                              f'({str(err)[:120]}): write neck and strides by hand, '
                              'docs/adapt.md says how') from err
        start = one.get('start_level', 0)
        used = levels[start:] or levels
        return [Level(one['out_channels'], used[0].stride * 2**k) for k in range(one['num_outs'])]


def _pyramid(outs: list[Level], width: int, stride: int) -> dict:
    """A SimpleFeaturePyramid with the strides of ``outs``."""
    strides = [level.stride for level in outs]
    order = sorted(strides)
    if strides == order:
        # The last of many is subsampled from the one before, as in MMDetection's FPN.
        computed = strides[:MAX_COMPUTED] if _doubling(strides[MAX_COMPUTED - 1:]) else strides
    else:
        raise CannotAdapt(f'levels of strides {strides} are not in the order of a pyramid: write '
                          'the neck by hand, docs/adapt.md says how')
    factors = tuple(stride / level for level in computed)
    pyramid = dict(
        type='SimpleFeaturePyramid',
        in_channels=width,
        out_channels=int(median(level.channels for level in outs)),
        scale_factors=factors)
    if len(outs) > len(computed):
        pyramid['num_outs'] = len(outs)
    return pyramid


def _doubling(strides: list[int]) -> bool:
    return all(b == 2 * a for a, b in pairwise(strides))



def _inner_width(neck: dict, levels: list[Level]) -> int:
    """Width of the maps for a neck that stays: its own, or the middle one of what it got."""
    own = neck.get('out_channels')
    return own if isinstance(own, int) else int(median(level.channels for level in levels))


def _set_neck(changes: ConfigChanges, root: Path, necks: list, why: str) -> None:
    head = str(changes.get((*root, 'bbox_head', 'type'))).rsplit('.', 1)[-1]
    if head in _VIEWING_HEADS:
        necks[0]['contiguous'] = True
    changes.set((*root, 'neck'), necks[0] if len(necks) == 1 else necks, why)


def _set_head_channels(changes: ConfigChanges, root: Path, levels: list[Level],
                       width: int) -> None:
    """Tell heads that read maps of several widths, or of another one, the pyramid's width."""
    channels = [level.channels for level in levels]
    detector = changes.get(root)
    for key, node in detector.items():
        if not key.endswith('head') or not isinstance(node, dict):
            continue
        old = node.get('in_channels')
        if isinstance(old, (list, tuple)) and list(old) == channels:
            changes.set((*root, key, 'in_channels'), type(old)([width] * len(old)),
                        'All levels of the pyramid have one width.')
