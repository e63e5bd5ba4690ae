"""Trained models that serve as they are: built, loaded whole, and frozen."""
from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.logging import print_log
from torch import nn

from mmppvit.models.checkpoints import load_whole, read_state_dict

__all__ = ['freeze', 'load_frozen', 'read_model_config']


def read_model_config(detector: str | Mapping) -> ConfigDict:
    """``model`` of a detector's config.

    Args:
        detector (str | Mapping): Config file, also ``mmdet::...``; its content; or its ``model``.

    Raises:
        FileNotFoundError: There is no such config file.
        ValueError: It has no model.
    """
    where = 'detector'
    if isinstance(detector, str):
        where = detector
        if '::' in detector:
            detector = get_config(detector)
        elif Path(detector).is_file():
            detector = Config.fromfile(detector)
        else:
            raise FileNotFoundError(f"no config {detector}: give a file, e.g. of configs/, or "
                                    "'mmdet::FOLDER/FILE.py'")
    model = detector if 'type' in detector else detector.get('model')
    if not model or 'type' not in model:
        raise ValueError(f'{where} has no model: give the config of a detector')
    model = ConfigDict(copy.deepcopy(dict(model)))
    model.setdefault('_scope_', detector.get('default_scope', 'mmdet'))
    if 'data_preprocessor' in detector and 'type' not in detector:  # beside model: MMEngine's way
        model.setdefault('data_preprocessor', detector['data_preprocessor'])
    return model


def load_frozen(detector: str | Mapping, checkpoint: str | None = None) -> nn.Module:
    """A detector with trained weights, frozen.

    Args:
        detector (str | Mapping): As for :func:`read_model_config`.
        checkpoint (str, optional): Its weights, ``.pth`` (weights only) or ``.safetensors``.
            Without them those of its ``init_cfg`` are taken, which is said.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The weights are of another detector, or need pickle.
    """
    config = read_model_config(detector)
    if checkpoint is None:
        print_log('the frozen detector is given no checkpoint: set model.checkpoint to its trained '
                  'weights', logger='current', level=logging.WARNING)
        return freeze(MODELS.build(config))
    if '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint {checkpoint} of the frozen detector: train it '
                                'first, or set model.checkpoint to its file')
    model = MODELS.build(config)
    load_whole(model, read_state_dict(checkpoint), checkpoint)
    return freeze(model)


def freeze(model: nn.Module) -> nn.Module:
    """No gradients for its parameters, and norms and dropout in eval mode; returns the model.

    The ``train()`` of a model around it would undo the second: override it there.
    """
    return model.requires_grad_(False).eval()
