"""A trained detector in two files: a backbone that knows no order, and all that follows it."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmppvit.models.backbones import PEViT
from mmppvit.models.checkpoints import differences, load_whole
from mmppvit.models.checkpoints.tensor_json import read_tensors, write_tensors
from mmppvit.models.layers import resolve_arch
from mmppvit.two_party.messages import ProtocolError
from mmppvit.two_party.part_schema import (
    build_backbone,
    build_preprocessor,
    check_dataset_meta,
)

__all__ = ['BackboneHalf', 'HeadHalf', 'read_part', 'split_detector', 'write_part']

# Heads of version 1 brought a config along; the owner's own is built instead.
_VERSIONS = dict(backbone=(1, ), head=(2, 1), tokens=(1, ))
_PREFIX = 'backbone.'
_PREPROCESSING = ('mean', 'std', 'bgr_to_rgb', 'rgb_to_bgr', 'pad_size_divisor', 'pad_value')


def write_part(path: str | Path, kind: str, tensors: dict[str, Tensor], info: dict) -> None:
    """Write a ``.safetensors`` file whose metadata is JSON; it appears whole or not at all.

    Args:
        path (str | Path): The file.
        kind (str): 'backbone', 'head' or 'tokens'.
        tensors (dict[str, Tensor]): Its tensors.
        info (dict): What else it says, under the one metadata key ``mmppvit``.
    """
    write_tensors(path, tensors, dict(info, format=f'mmppvit-{kind}',
                                      version=_VERSIONS[kind][0]), 'mmppvit')


def read_part(path: str | Path, kind: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and info of a file of :func:`write_part`; nothing is unpickled.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no {kind} file {path}')
    try:
        tensors, info = read_tensors(path, 'mmppvit')
    except (KeyError, RecursionError) as err:
        raise ValueError(f'{path} is a damaged file: {type(err).__name__}') from err
    info = {} if info is None else info
    if not isinstance(info, dict):
        raise ValueError(f'{path} is a damaged file: its metadata is no object')
    found = info.get('format'), info.get('version')
    if found[0] != f'mmppvit-{kind}' or found[1] not in _VERSIONS[kind]:
        raise ValueError(f'{path} is of format {found[0]}, version {found[1]}; expected '
                         f'mmppvit-{kind}, version {_VERSIONS[kind][0]}, as the tool of this '
                         'version of mmppvit writes it')
    return tensors, info


def split_detector(model: dict, state: dict[str, Tensor],
                   dataset_meta: dict | None = None) -> tuple[tuple, tuple]:
    """Take a detector apart behind its backbone.

    Args:
        model (dict): Config of a detector with a PEViT, as ``cfg.model``.
        state (dict[str, Tensor]): Its weights, all of them.
        dataset_meta (dict, optional): ``classes``, and ``palette`` if there is one.

    Returns:
        tuple[tuple, tuple]: Tensors and info, for :func:`write_part`, of the backbone half and
        of the head half. The former says nothing of classes, data or keys.

    Raises:
        TypeError: Backbone or data preprocessor are of a kind that cannot be split off.
        ValueError: The weights are not those of this config.
    """
    model = _without_init(model)
    detector = _build(model)
    _check_parts(detector)
    load_whole(detector, state, 'the checkpoint')
    weights = detector.state_dict()
    backbone = {k.removeprefix(_PREFIX): v for k, v in weights.items() if k.startswith(_PREFIX)}
    head = {k: v for k, v in weights.items() if not k.startswith(_PREFIX)}
    preprocessor = model['data_preprocessor']
    return (backbone, dict(
        backbone={k: v for k, v in model['backbone'].items() if k != 'type'},
        preprocessor={k: preprocessor[k] for k in _PREPROCESSING if k in preprocessor})), (
            head, dict(dataset_meta=dataset_meta or {}))


def _without_init(node):
    """Plain copy of a config, less the ``init_cfg``, which name files of another machine."""
    if isinstance(node, dict):
        return {k: _without_init(v) for k, v in node.items() if k != 'init_cfg'}
    if isinstance(node, (list, tuple)):
        return type(node)(_without_init(v) for v in node)
    return node


def _build(model: dict) -> BaseModel:
    # Detectors write into their config. The scope is for norms and the like, which mmcv builds.
    return MODELS.build(ConfigDict(copy.deepcopy(model), _scope_='mmdet')).eval()


def _check_parts(detector: BaseModel) -> None:
    backbone, preprocessor = getattr(detector, 'backbone', None), detector.data_preprocessor
    if type(backbone) is not PEViT:
        raise TypeError(f'only detectors with a PEViT can be split, and this backbone is a '
                        f'{type(backbone).__name__}')
    if type(preprocessor) is not DetDataPreprocessor:
        raise TypeError(f'the data preprocessor is a {type(preprocessor).__name__}; the backbone '
                        'half can only do what DetDataPreprocessor does: set '
                        "data_preprocessor.type='DetDataPreprocessor'")


def _load(module: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    problems = differences(weights, module)
    if problems:
        raise ValueError(f'{path} does not fit: ' + '\n  '.join(problems))
    module.load_state_dict(weights)


class BackboneHalf(nn.Module):
    """Images -> token maps, wherever the computing power is; in the order of the images.

    Args:
        backbone (dict): Arguments of :class:`PEViT`.
        preprocessor (dict): Normalization and padding, arguments of ``DetDataPreprocessor``.
        weights (dict, optional): Of the backbone; without them they are drawn.
    """

    def __init__(self, backbone: dict, preprocessor: dict,
                 weights: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, weights)
        self.preprocessor = build_preprocessor(preprocessor)

    @classmethod
    def load(cls, path: str | Path) -> BackboneHalf:
        """The backbone half that ``tools/split_model.py`` wrote, ready to run.

        The file may come from a hostile party: what it says is checked, and nothing else than a
        PEViT and its normalization is ever built of it.

        Raises:
            ValueError: It is no backbone half.
        """
        weights, info = read_part(path, 'backbone')
        try:
            return cls(info.get('backbone'), info.get('preprocessor'), weights).eval()
        except ProtocolError as err:
            raise ProtocolError(f'{path}: {err}') from None

    @torch.no_grad()
    def forward(self, images: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
        """Batch of images -> maps of (B, D, h, w), padded as the whole detector pads them.

        Args:
            images (Sequence[ndarray]): (H, W, 3) uint8 in BGR, of any shapes.

        Raises:
            TypeError: One is not such an array.
        """
        for image in images:
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
                raise TypeError(f'images must be uint8 arrays of (H, W, 3), got '
                                f'{getattr(image, "dtype", type(image).__name__)} of shape '
                                f'{getattr(image, "shape", None)}')
        # Moving a module does not tell the preprocessors in it.
        self.preprocessor.to(next(self.backbone.parameters()).device)
        inputs = [torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1))) for x in images]
        return self.backbone(self.preprocessor(dict(inputs=inputs))['inputs'])


class HeadHalf(nn.Module):
    """Token maps -> detections, by whoever may know them and, if the order is keyed, has the key.

    Args:
        model (dict): Config of the whole detector, the owner's own; its backbone is left out.
        dataset_meta (dict): ``classes``, and ``palette`` if there is one.

    Raises:
        ValueError: ``dataset_meta`` has something else.
    """

    def __init__(self, model: dict, dataset_meta: dict) -> None:
        super().__init__()
        check_dataset_meta(dataset_meta)
        backbone = model['backbone']
        stride = backbone.get('patch_size', 16) // backbone.get('grid', 2)
        indices = backbone.get('out_indices', -1)
        self._num_maps = 1 if isinstance(indices, int) else len(indices)
        self._channels = resolve_arch(backbone.get('arch', 'small'))['embed_dims']
        stem = dict(type='TokenInput', token_stride=stride)
        self.detector = _build(dict(_without_init(model), backbone=stem))
        self.dataset_meta = dataset_meta

    @classmethod
    def load(cls, path: str | Path, model: dict, classes: Sequence[str] = ()) -> HeadHalf:
        """The head half that ``tools/split_model.py`` wrote, ready to run.

        The file brings weights and class names and no code: what is built is ``model``, the
        config that the owner has.

        Args:
            path (str or Path): The file.
            model (dict): Config of the whole detector.
            classes (Sequence[str]): What it is run on; any, if there are none.

        Raises:
            ValueError: It is no head half, or of another detector or other classes.
        """
        return cls.from_part(*read_part(path, 'head'), path, model, classes)

    @classmethod
    def from_part(cls, weights: dict[str, Tensor], info: dict, path: str | Path, model: dict,
                  classes: Sequence[str] = ()) -> HeadHalf:
        """As `load`, of a file that is read already: what :func:`read_part` gave."""
        meta = check_dataset_meta(info.get('dataset_meta'))
        trained = list(meta.get('classes') or ())
        if trained and classes and trained != list(classes):  # before its shapes do not fit
            raise ValueError(f'{path} was trained on the classes {trained}, the config has '
                             f'{list(classes)}')
        half = cls(model, meta)
        _load(half.detector, weights, path)
        return half.eval()

    @torch.no_grad()
    def predict(self, maps: Sequence[Tensor], metainfos: Sequence[dict]) -> list[DetDataSample]:
        """Detections in the frame of the plain images.

        Args:
            maps (Sequence[Tensor]): (B, D, h, w) of the backbone half, with the batch's padding.
            metainfos (Sequence[dict]): For each image ``img_shape``, ``ori_shape`` and
                ``scale_factor``, and ``patch_order`` for a keyed detector.

        Returns:
            list[DetDataSample]: With ``pred_instances``.

        Raises:
            ValueError: Maps and metainfos are not of the same images, or the maps are none that
                a backbone half can have made.
        """
        self._check_maps(maps)
        if any(len(x) != len(metainfos) for x in maps):
            raise ValueError(f'{len(metainfos)} metainfos for maps of {[len(x) for x in maps]} '
                             'images')
        device = next(self.detector.parameters()).device
        samples = [self._sample(meta, maps[0].shape[2:]) for meta in metainfos]
        return self.detector(tuple(x.to(device) for x in maps), samples, mode='predict')

    def _check_maps(self, maps: Sequence[Tensor]) -> None:
        """They come from another party."""
        if len(maps) != self._num_maps:
            raise ValueError(f'{len(maps)} maps of a backbone that has {self._num_maps}')
        for x in maps:
            if not x.is_floating_point() or x.ndim != 4 or not x.numel() \
                    or x.shape[1] != self._channels or x.shape != maps[0].shape:
                raise ValueError(f'tokens must be floating maps of (B, {self._channels}, h, w), '
                                 f'got {x.dtype} of {tuple(x.shape)}')
            if not torch.isfinite(x).all():
                raise ValueError('tokens have values that are not finite')

    def _sample(self, meta: dict, grid: tuple[int, int]) -> DetDataSample:
        """With the shapes that the detector's data preprocessor adds."""
        missing = {'img_shape', 'ori_shape', 'scale_factor'} - set(meta)
        if missing:
            raise ValueError(f'metainfo lacks {sorted(missing)}: name them in the meta_keys of '
                             "the pipeline's last step")
        stride = self.detector.backbone.token_stride
        divisor = self.detector.data_preprocessor.pad_size_divisor
        batch_shape = tuple(side * stride for side in grid)
        if any(x > y for x, y in zip(meta['img_shape'][:2], batch_shape, strict=True)):
            raise ValueError(f'an image of {tuple(meta["img_shape"])} does not fit maps of '
                             f'{tuple(grid)} cells of {stride} pixels: they are of another image')
        pad_shape = tuple(-(-side // divisor) * divisor for side in meta['img_shape'][:2])
        return DetDataSample(metainfo=dict(
            meta, batch_input_shape=batch_shape, pad_shape=pad_shape))
