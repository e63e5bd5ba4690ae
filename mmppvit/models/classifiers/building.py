"""Classifiers of timm that fit the size and the encryption of images."""
from __future__ import annotations

from difflib import get_close_matches

import timm
from timm.layers import to_2tuple
from timm.models import get_pretrained_cfg
from torch import nn

from mmppvit.encryption import check_grid
from mmppvit.models.classifiers import PEViTClassifier

__all__ = ['build_classifier', 'choose_model']


def choose_model(name: str, mixes: bool) -> str:
    """The model for plain or for mixed images.

    Args:
        name (str): In timm's registry.
        mixes (bool): Whether the images are mixed.

    Returns:
        str: ``name``, or for mixed images ``NAME_mix`` if timm has one.

    Raises:
        ValueError: timm has no such model.
    """
    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), 3)
        raise ValueError(f'no model {name!r}' + (f': did you mean {" or ".join(close)}?' if close
                                                 else ': timm.list_models() lists them'))
    if mixes and timm.is_model(f'{name}_mix'):
        return f'{name}_mix'
    return name


def build_classifier(name: str, kwargs: dict, img_size: int, patch_size: int, grid: int
                     ) -> tuple[nn.Module, dict]:
    """A model that takes images of this size and encryption, and all its arguments.

    Args:
        name (str): From :func:`choose_model`.
        kwargs (dict): Arguments of ``timm.create_model``; patch, grid and image size are added
            for models that have them.
        img_size (int): Side of the plain images in pixels.
        patch_size (int): Side of a patch of the plain images in pixels.
        grid (int): 1 for images that are not mixed.

    Raises:
        ValueError: The sizes do not fit each other, or the model.
    """
    side = check_grid(patch_size, grid)
    if img_size % patch_size:
        below = max(img_size // patch_size, 1) * patch_size
        raise ValueError(f'--img-size {img_size} is not a multiple of --patch-size {patch_size}: '
                         f'choose {below} or {below + patch_size}')
    if name.startswith('pevit_'):
        own_grid = grid if grid > 1 or not name.endswith('_mix') else 2
        kwargs = dict(patch_size=patch_size, grid=own_grid) | kwargs
    elif getattr(get_pretrained_cfg(name), 'fixed_input_size', False):
        kwargs = dict(img_size=img_size // grid) | kwargs
    try:
        model = timm.create_model(name, **kwargs)
    except (TypeError, AssertionError) as err:
        raise ValueError(f'{name} cannot be built with {kwargs}: {err}; see --model-kwargs'
                         ) from err
    _check_patches(name, model, side, grid)
    return model, kwargs


def _check_patches(name: str, model: nn.Module, side: int, grid: int) -> None:
    """Compare patch sizes; convolutional networks have none and take any image."""
    if isinstance(model, PEViTClassifier):
        own, remedy = model.input_patch, (
            'choose --encrypt mix or mix+shuffle, or --model ' + name.removesuffix('_mix'))
    elif hasattr(getattr(model, 'patch_embed', None), 'patch_size'):
        own = to_2tuple(model.patch_embed.patch_size)[0]
        remedy = f'choose --model-kwargs patch_size={side}' if grid == 1 else \
            f'choose a PEViT, or --model-kwargs patch_size={side}'
    else:
        return
    if own != side:
        raise ValueError(f'{name} takes patches of {own} pixels, and those of the '
                         f'{"mixed" if grid > 1 else "unmixed"} images have {side}: {remedy}')
