"""A stock MMDetection config, made into one for encrypted images."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import HOOKS  # noqa: F401  registers everything
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import import_modules_from_strings

import mmppvit.register  # noqa: F401
from mmppvit.adapt.config_changes import CannotAdapt, ConfigChanges, walk_dicts
from mmppvit.adapt.network import detector_path, refuse_model, replace_network
from mmppvit.adapt.pipeline_steps import encrypt_pipelines, kind_of, move_batch_resizing
from mmppvit.adapt.pixel_fields import divide_pixels
from mmppvit.adapt.schedule import suit_schedule
from mmppvit.adapt.scopes import name_our_scope, scope_of
from mmppvit.adapt.sealed_sets import SealedFolders, find_sealed, use_sealed
from mmppvit.encryption import Scheme, check_grid
from mmppvit.models.layers import resolve_arch

__all__ = ['SCHEMES', 'Adapted', 'adapt_config', 'adapt_stock']

# What is applied on the fly, in this order, for the name of a scheme.
SCHEMES = ('mix', 'mix+center', 'mix+shuffle', 'mix+center+shuffle', 'shuffle', 'plain')
_HOOKS = ('SealedDataHook', 'StrideGuardHook')


@dataclass
class Adapted:
    """What :func:`adapt_stock` returns.

    Attributes:
        config (Config): The whole encrypted config.
        stock (Config): What it was made from.
        reasons (dict): Why the value at a path was set.
        notes (list[str]): What the user should know.
    """
    config: Config
    stock: Config
    reasons: dict[tuple, str]
    notes: list[str]


def adapt_config(cfg: str | Config, **options) -> Config:
    """The same detector on encrypted images, for notebooks and scripts.

    Args:
        cfg (str | Config): ``'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'``, a file, or a
            config. It is not changed.
        **options: As for :func:`adapt_stock`.

    Returns:
        Config: Complete; what was replaced and cannot be the same is logged.

    Raises:
        CannotAdapt: There is no encrypted counterpart; the message says why.
    """
    adapted = adapt_stock(cfg, **options)
    for note in adapted.notes:
        print_log(note, logger='current')
    return adapted.config


def adapt_stock(cfg: str | Config,
                scheme: str | None = None,
                arch: str | dict = 'small',
                patch_size: int | None = None,
                grid: int | None = None,
                key_file: str | None = None,
                center_strength: float | None = None,
                gain: float | None = None,
                pretrained: str | None = None,
                keep_backbone: bool = False,
                statistics: int = 0,
                sealed: str | Path | None = None,
                num_points: int | None = None) -> Adapted:
    """Adapt a config and say what was changed and why.

    Args:
        cfg (str | Config): See :func:`adapt_config`.
        scheme (str, optional): One of ``SCHEMES``; 'mix' if not given. 'plain' is the control:
            the same network on plain images, padded to whole patches.
        arch (str | dict): Of the PEViT: 'tiny', 'small', 'base', or a dict.
        patch_size (int, optional): Side of a patch of the plain image in pixels; 16.
        grid (int, optional): Sub-patches per side that are mixed into one; 2, and 1 for
            'shuffle', which does not mix.
        key_file (str, optional): For schemes that shuffle, and for sealed metadata.
        center_strength (float, optional): Share of each patch's mean that centering takes away;
            all of it, 1, if not given.
        gain (float, optional): Factor of the texture of centered patches; 1 if not given.
        pretrained (str, optional): File with weights of a ViT for the backbone.
        keep_backbone (bool): Keep the stock backbone and neck on images that are mixed in order.
        statistics (int): Measure mean and deviation on that many encrypted training images and
            write them into the preprocessor; 0 keeps the stock ones.
        sealed (str | Path, optional): Folder of a sealed data set, or of several as train* and
            val* or test*. They say scheme, patch size, grid and strength by themselves.
            Augmentations that do not commute with the scheme are replaced or left out, each with
            a note.
        num_points (int, optional): The PEViT's attention goes through so many learned points, at a
            cost that grows with the number of patches and not with its square; None: full
            attention.

    Raises:
        CannotAdapt: The config, or these options for it, have no encrypted counterpart.
        FileNotFoundError: There is no such config.
    """
    stock = load_stock(cfg)
    changes = ConfigChanges(stock.to_dict())
    given = dict(scheme=scheme, patch_size=patch_size, grid=grid, center_strength=center_strength,
                 gain=gain)
    folders = None if sealed is None else find_sealed(sealed, key_file)
    chosen = _chosen(**given) if folders is None else _as_sealed(folders.scheme, given)
    backbone = _backbone(chosen, arch, pretrained, num_points, keep_backbone)
    with scope_of(stock) as scope:
        _adapt(changes, chosen, folders, key_file, backbone)
        name_our_scope(changes, scope)
        if statistics:
            from mmppvit.adapt.image_statistics import write_statistics
            write_statistics(changes, statistics)
    return Adapted(Config(changes.cfg, filename=stock.filename), stock, changes.reasons,
                   changes.notes)


def _backbone(chosen: Scheme, arch: str | dict, pretrained: str | None, num_points: int | None,
              keep_backbone: bool) -> dict | None:
    """The PEViT, or None to keep the stock backbone."""
    if num_points and (pretrained or keep_backbone):
        raise CannotAdapt('attention through points is that of a new PEViT: weights of full '
                          'attention do not fit, and a stock backbone has none. Leave one out')
    if keep_backbone:
        return None
    backbone = dict(type='PEViT', arch=arch, patch_size=chosen.patch_size, grid=chosen.grid)
    if num_points:
        backbone['num_points'] = num_points
    if pretrained:
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=pretrained)
    return backbone


def _adapt(changes: ConfigChanges, chosen: Scheme, folders: SealedFolders | None,
           key_file: str | None, backbone: dict | None) -> None:
    root = detector_path(changes)
    refuse_model(changes.get(('model', )))
    move_batch_resizing(changes, chosen.grid, check_grid(chosen.patch_size, chosen.grid))
    if backbone is None:
        _keep_backbone(changes, chosen)
    else:
        _encrypt_model(changes, root, backbone)
    if chosen.shuffles:
        _restore_order(changes, root)
    if folders is None:
        _encrypt_data(changes, chosen, key_file)
    else:
        use_sealed(changes, folders)
    _add_runtime(changes)


def _chosen(scheme: str | None, patch_size: int | None, grid: int | None,
            center_strength: float | None, gain: float | None) -> Scheme:
    """The scheme of the options, with what is usual where they say nothing."""
    scheme = 'mix' if scheme is None else scheme
    if scheme not in SCHEMES:
        raise CannotAdapt(f'scheme {scheme!r} is none of {", ".join(SCHEMES)}')
    if scheme == 'plain':  # the same network, the control: nothing but whole patches
        if grid not in (None, 1) or center_strength or gain not in (None, 1):
            raise CannotAdapt('plain images are neither mixed nor centered: leave grid, '
                              'center_strength and gain out')
        return Scheme('mix', 16 if patch_size is None else patch_size, 1)
    mixes = scheme.startswith('mix')
    grid = (2 if mixes else 1) if grid is None else grid
    if mixes and grid < 2:
        raise CannotAdapt(f'scheme {scheme} with grid {grid} mixes nothing: take grid 2 or more')
    if not mixes and grid != 1:
        raise CannotAdapt(f'scheme {scheme} does not mix: grid is 1, not {grid}')
    strength = 1. if center_strength is None else center_strength
    return Scheme(scheme, 16 if patch_size is None else patch_size, grid,
                  strength if 'center' in scheme else 0., gain=1. if gain is None else gain)


def _as_sealed(scheme: Scheme, given: dict) -> Scheme:
    """That of sealed images, which options may repeat and not contradict."""
    found = dict(scheme=scheme.name, patch_size=scheme.patch_size, grid=scheme.grid,
                 center_strength=scheme.center_strength, gain=scheme.gain)
    wrong = [name for name, value in given.items() if value not in (None, found[name])]
    if wrong:
        name = wrong[0]
        raise CannotAdapt(f'{name} is {given[name]} and the sealed images have {found[name]}: '
                          'leave it out, they say it themselves')
    return scheme


def _keep_backbone(changes: ConfigChanges, scheme: Scheme) -> None:
    if scheme.shuffles:
        raise CannotAdapt(f'keep_backbone does not go with scheme {scheme.name}: convolutions need '
                          "each pixel's neighbors, which shuffling takes away. Use 'mix' or "
                          "'mix+center', or let a PEViT replace the backbone")
    changes.note('The backbone stays: it sees mixed images, in order, of 1/'
                 f'{scheme.grid} of the side, so that objects are that much smaller in its pixels.')


def _encrypt_data(changes: ConfigChanges, scheme: Scheme, key_file: str | None) -> None:
    """Encrypt plain images on the fly, in every pipeline that packs."""
    steps = encryption_steps(scheme, key_file)
    changes.cfg['encrypt'] = steps
    if not encrypt_pipelines(changes, steps, scheme.grid, _packer(scheme.shuffles)):
        raise CannotAdapt('no pipeline of this config packs its images (PackDetInputs): there is '
                          'nothing that could be encrypted')


def load_stock(cfg: str | Config) -> Config:
    """A config from a file, from ``mmdet::`` or as it is.

    Raises:
        FileNotFoundError: There is no such file.
        CannotAdapt: It is one of MMEngine's pure Python configs, or adapted already.
    """
    if not isinstance(cfg, Config):
        cfg = read_config(str(cfg))
    kinds = [node['type'] for _, node in walk_dicts(cfg.to_dict()) if 'type' in node]
    if any(not isinstance(kind, str) for kind in kinds):
        raise CannotAdapt('the config names classes in place of strings (read_base): adapt the '
                          "config of the same name in MMDetection's configs/ folder")
    if {'MixSubPatches', 'MixCenterPatches', 'PEViT'} & set(kinds):
        raise CannotAdapt('the config has a PEViT or MixSubPatches already: adapt the stock one')
    return cfg


def read_config(name: str) -> Config:
    """``mmdet::FOLDER/NAME.py`` or a path."""
    if '::' in name:
        package, path = name.split('::', 1)
        module = __import__(package)
        found = [os.path.join(base, '.mim', 'configs', path) for base in module.__path__]
        file = next((path for path in found if os.path.isfile(path)), None)
        if file is None:
            raise FileNotFoundError(f'no config {path} in {package}: its configs are in {found[0]}')
        return _from_file(file)
    if not os.path.isfile(name):
        raise FileNotFoundError(f'no config {name}: name a file, or one of MMDetection as '
                                'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')
    return _from_file(name)


def _from_file(path: str) -> Config:
    """A config, even if its ``custom_imports`` are of packages that are not installed.

    They may be those of a backbone that is replaced.
    """
    cfg = Config.fromfile(path, import_custom_modules=False)
    imports = cfg.get('custom_imports') or {}
    import_modules_from_strings(imports.get('imports', ()), allow_failed_imports=True)
    return cfg


def encryption_steps(scheme: Scheme, key_file: str | None) -> list[dict]:
    """Pipeline steps that do on the fly what ``scheme`` does to files."""
    sizes = dict(patch_size=scheme.patch_size, grid=scheme.grid)
    steps = [dict(type='MixSubPatches', **sizes)]
    if scheme.gain != 1:
        steps = [dict(type='MixCenterPatches', strength=scheme.center_strength, gain=scheme.gain,
                      **sizes)]
    elif scheme.centers:
        steps.append(dict(type='CenterPatches', strength=scheme.center_strength, **sizes))
    if scheme.shuffles:
        if key_file is None:
            raise CannotAdapt(f'scheme {scheme.name} needs a key: make one with '
                              '`mmppvit keygen owner.key` and give it as key_file')
        steps.append(dict(type='ShufflePatches', key_file=key_file, **sizes))
    return steps


def _encrypt_model(changes: ConfigChanges, root: tuple, backbone: dict) -> None:
    width = resolve_arch(backbone['arch'])['embed_dims']
    patch_size, grid = backbone['patch_size'], backbone['grid']
    strides = replace_network(changes, root, backbone, width, patch_size)
    divide_pixels(changes, root, grid, strides)
    _divide_preprocessors(changes, patch_size, grid)
    suit_schedule(changes, root, 'init_cfg' in backbone)
    if changes.get(('load_from', )):
        changes.set(('load_from', ), None, 'The checkpoint is one of the stock network.')


def _divide_preprocessors(changes: ConfigChanges, patch_size: int, grid: int) -> None:
    """Pad batches to whole patches; the sizes that preprocessors count in pixels."""
    side = patch_size // grid
    for path, node in list(walk_dicts(changes.get(('model', )), ('model', ))):
        if not kind_of(node).endswith('DataPreprocessor') or 'data_preprocessor' in node:
            continue
        plain = node.get('pad_size_divisor', 1)
        # As much of the plain image as before, and whole patches.
        new = max(-(-plain // grid // side) * side, side)
        changes.set((*path, 'pad_size_divisor'), new,
                    'Whole patches, in pixels of the mixed image.')
        for field in ('mask_stride', 'bottom_pixels_removed'):
            if field in node and path[0] == 'model' and path[-1] != 'data_preprocessor':
                changes.set((*path, field), node[field] // grid)


def _packer(shuffles: bool):
    def pack(step: dict) -> dict:
        if shuffles and kind_of(step) == 'PackDetInputs':
            return dict(step, type='PackSealedInputs')
        return step
    return pack


def _restore_order(changes: ConfigChanges, root: tuple) -> None:
    if root != ('model', ):
        raise CannotAdapt(f'{changes.get(("model", "type"))} holds its detector within, where the '
                          "order of shuffled patches cannot be restored: use 'mix'")
    kind = changes.get(('model', 'type'))
    changes.set(('model', 'type'), 'KeyedOrder',
                'Puts the tokens of shuffled images back in order, after the backbone.')
    changes.set(('model', 'detector'), kind)


def _add_runtime(changes: ConfigChanges) -> None:
    """The import that registers everything, and the hooks that guard the numbers."""
    imports = list((changes.get(('custom_imports', )) or {}).get('imports', ()))
    kept = [name for name in imports if not name.startswith('mmpretrain')
            or _names_mmpretrain(changes.cfg)]
    # First: without a compiled mmcv, other projects can import mmdet.models only after it.
    changes.set(('custom_imports', ), dict(imports=['mmppvit', *kept], allow_failed_imports=False))
    hooks = list(changes.get(('custom_hooks', )) or [])
    named = {kind_of(hook) for hook in hooks}
    new = [dict(type=name) for name in _HOOKS if name not in named]
    changes.set(('custom_hooks', ), [*hooks, *new],
                'Strides, patch size, grid and statistics are checked in the first iteration.')
    if kind_of(changes.get(('visualizer', ))) == 'DetLocalVisualizer':
        changes.set(('visualizer', 'type'), 'SealedDetLocalVisualizer',
                    'Draws boxes in the frame of the image shown.')


def _names_mmpretrain(cfg: dict) -> bool:
    return any(str(node.get('type')).startswith('mmpretrain.') for _, node in
               walk_dicts(cfg.get('model')))
