"""Numbers of the wrong frame, found before they train."""
from __future__ import annotations

import logging

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from mmppvit.engine.hooks.frame_checks import check_preprocessor, check_steps, check_widths
from mmppvit.engine.hooks.stride_checks import MapChecks

__all__ = ['StrideGuardHook']


@HOOKS.register_module()
class StrideGuardHook(Hook):
    """Check that data, backbone, neck and heads agree in strides, sizes and widths.

    Before the first iteration: ``patch_size`` and ``grid`` of pipelines and backbone, steps that
    resize after the encryption, preprocessors that resize or pad to no whole patch, widths of
    backbone and neck. During the first iteration: the strides that heads, point and anchor
    generators and RoI extractors use, against the maps that they get; ranges of object
    sizes against those strides; mean and deviation of what the backbone gets, of which a warning
    says what to set. After it the hook does nothing.

    Args:
        ignore (Sequence[str]): Fields not to be checked, e.g. ``('regress_ranges', )`` for ranges
            that are meant to differ from MMDetection's.
        statistics (bool): Whether to look at mean and deviation.

    Raises:
        ValueError: Two numbers do not fit; the message has both and the field to change.
    """

    priority = 'LOW'

    def __init__(self, ignore: tuple[str, ...] = (), statistics: bool = True) -> None:
        self.ignore = set(ignore)
        self.statistics = statistics
        self._handles: list = []
        self._checks: MapChecks | None = None

    def before_train(self, runner) -> None:
        """Check what can be known before any image is loaded."""
        model = unwrapped(runner.model)
        self._check_data(runner.train_loop.dataloader.dataset, model, 'train_dataloader')
        check_preprocessor(model, self.ignore)
        check_widths(model)
        self._checks = MapChecks(model, self.ignore)
        self._handles = self._checks.register()

    def before_val(self, runner) -> None:
        self._check_data(runner.val_loop.dataloader.dataset, unwrapped(runner.model),
                         'val_dataloader')

    def before_test(self, runner) -> None:
        self._check_data(runner.test_loop.dataloader.dataset, unwrapped(runner.model),
                         'test_dataloader')

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Look at the statistics of the first batch and let go of the model."""
        if self._checks is None:
            return
        images = self._checks.images
        self.release()
        if self.statistics and images is not None:
            warn_of_statistics(images, data_batch, unwrapped(runner.model))

    def release(self) -> None:
        """Remove all hooks from the model."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._checks = [], None

    def after_train(self, runner) -> None:
        self.release()

    def _check_data(self, dataset, model: nn.Module, name: str) -> None:
        if 'patch_size' not in self.ignore:
            check_steps(dataset, model, name)


def unwrapped(model: nn.Module) -> nn.Module:
    """The detector itself."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def warn_of_statistics(images: torch.Tensor, data_batch, model: nn.Module) -> None:
    """Warn where a batch is far from mean 0 and deviation 1, and say what to set.

    Args:
        images (Tensor): (B, C, H, W), what the backbone got.
        data_batch (dict): Of the loader; tells padding from image.
        model (nn.Module): The detector, for the values of its preprocessor.
    """
    pixels = _valid_pixels(images, data_batch)
    mean, std = pixels.mean(1), pixels.std(1)
    if mean.abs().max() <= MAX_MEAN and std.min() >= STD_RANGE[0] and std.max() <= STD_RANGE[1]:
        return
    norm = getattr(model, 'data_preprocessor', None)
    old_mean, old_std = (getattr(norm, name, None) for name in ('mean', 'std'))
    if old_mean is None or old_std is None:
        old_mean, old_std = torch.zeros(len(mean)), torch.ones(len(mean))
    old_mean, old_std = old_mean.flatten().cpu(), old_std.flatten().cpu()
    new = dict(mean=old_mean + mean * old_std, std=std.clamp(min=1e-3) * old_std)
    new = {name: [round(float(value), 1) for value in values] for name, values in new.items()}
    print_log(
        f'the backbone gets images of mean {_rounded(mean)} and deviation {_rounded(std)} in the '
        'first batch, and learns best from 0 and 1: set model.data_preprocessor.mean='
        f'{new["mean"]}, std={new["std"]}, or measure more images with `mmppvit adapt '
        '--statistics 200`', logger='current', level=logging.WARNING)


# Beyond these a warning: single batches of COCO are within ImageNet's, blood cells are not.
MAX_MEAN, STD_RANGE = 1., (.5, 2.)


def _valid_pixels(images: torch.Tensor, data_batch) -> torch.Tensor:
    """(C, N) float: pixels of the images without the padding of the batch."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    images = images.detach().float().cpu()
    if isinstance(samples, (list, tuple)) and len(samples) == len(images):
        parts = [image[:, :sample.img_shape[0], :sample.img_shape[1]].flatten(1)
                 for image, sample in zip(images, samples, strict=True)
                 if hasattr(sample, 'img_shape')]
        if len(parts) == len(images):
            return torch.cat(parts, 1)
    return images.transpose(0, 1).flatten(1)


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(float(value), 2) for value in values]
