"""A model that fits the data it is given, or an error before the first iteration."""
from __future__ import annotations

import logging

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import nn

from mmppvit.datasets import SealedCocoDataset, check_commutes
from mmppvit.encryption import Scheme
from mmppvit.models import KeyedOrderMixin, ProtectedDetector
from mmppvit.models.protectors import fingerprint
from mmppvit.utils.leaf_datasets import leaf_datasets
from mmppvit.utils.unwrapping import unwrap_model

__all__ = ['SealedDataHook']


@HOOKS.register_module()
class SealedDataHook(Hook):
    """Compare the scheme of sealed data sets with the model before anything is computed.

    Data sets that are not sealed are not its business. Of learned protection, a detector of other
    weights than those that the protector was trained for is warned of.

    Raises:
        ValueError: The patch size or grid of the backbone is another one, shuffled images meet a
            detector that does not restore their order, or protected ones another protector.
    """

    def before_train(self, runner) -> None:
        _check(runner.train_loop.dataloader.dataset, runner.model)

    def before_val(self, runner) -> None:
        _check(runner.val_loop.dataloader.dataset, runner.model)

    def before_test(self, runner) -> None:
        _check(runner.test_loop.dataloader.dataset, runner.model)


def _check(dataset, model: nn.Module) -> None:
    model = unwrap_model(model)
    for sealed, mixer in leaf_datasets(dataset):
        if not isinstance(sealed, SealedCocoDataset):
            continue
        scheme = sealed.manifest.scheme
        _check_model(scheme, str(sealed.manifest.root), model)
        if mixer is not None:  # its steps come after those that the data set has checked
            check_commutes(mixer.pipeline, scheme, shuffled=scheme.shuffles)


def _check_model(scheme: Scheme, root: str, model: nn.Module) -> None:
    if scheme.needs_protector:
        return _check_protected(scheme, root, model)
    embed = getattr(getattr(model, 'backbone', None), 'patch_embed', None)
    sizes = getattr(embed, 'patch_size', None), getattr(embed, 'grid', None)
    if sizes != (scheme.patch_size, scheme.grid):
        raise ValueError(
            f'{root} was sealed with patch_size={scheme.patch_size}, grid={scheme.grid}, and '
            f'the backbone is set to patch_size={sizes[0]}, grid={sizes[1]}: set '
            'model.backbone.patch_size and grid (and strides) to those of the data')
    keyed = isinstance(model, KeyedOrderMixin)
    if scheme.shuffles and not keyed:
        raise ValueError(
            f'{root} is shuffled (scheme {scheme.name}) and {type(model).__name__} does not '
            "restore the order after its backbone: model=dict(type='KeyedOrder', "
            f'detector={type(model).__name__!r})')
    if keyed and not scheme.shuffles:
        raise ValueError(f'{root} is not shuffled (scheme {scheme.name}), and the detector is of '
                         "type 'KeyedOrder': use the type named in its field detector")


def _check_protected(scheme: Scheme, root: str, model: nn.Module) -> None:
    if isinstance(model, ProtectedDetector):
        raise ValueError(f'{root} is protected already (scheme {scheme.name}), and '
                         f'{type(model).__name__} would protect it again: use the config of the '
                         'detector itself')
    if scheme.detector and scheme.detector != fingerprint(model.state_dict()):
        print_log(f'{root} was protected for a detector of other weights than these (fingerprint '
                  f'{scheme.detector}): expect a low mAP, unless this one was trained further',
                  logger='current', level=logging.WARNING)
