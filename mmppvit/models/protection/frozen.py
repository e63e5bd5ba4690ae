"""Trained models that serve as they are: built, loaded whole, and frozen."""
from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path

from mmppvit.models.checkpoints import read_state_dict

from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.logging import print_log
from torch import Tensor, nn

__all__ = ['freeze', 'load_frozen', 'load_whole', 'read_model_config']


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


def load_whole(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """``load_state_dict``, strict, with an error of a few lines.

    Raises:
        ValueError: Names or shapes differ.
    """
    try:
        model.load_state_dict(state)
    except RuntimeError as err:
        lines = [line.strip() for line in str(err).splitlines()[1:]]
        text = '\n  '.join(line[:200] + ('...' if len(line) > 200 else '') for line in lines[:4])
        raise ValueError(f'{name} does not fit this {type(model).__name__}:\n  {text}\n'
                         'Give the config that it was trained with') from None


def freeze(model: nn.Module) -> nn.Module:
    """No gradients for its parameters, and norms and dropout in eval mode; returns the model.

    The ``train()`` of a model around it would undo the second: override it there.
    """
    return model.requires_grad_(False).eval()
