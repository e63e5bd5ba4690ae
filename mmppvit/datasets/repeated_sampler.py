"""Repeated augmentation: every image several times in an epoch, each time augmented anew."""
from __future__ import annotations

from collections.abc import Sized

from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info
from timm.data.distributed_sampler import RepeatAugSampler

__all__ = ['RepeatedAugmentationSampler']


@DATA_SAMPLERS.register_module()
class RepeatedAugmentationSampler(RepeatAugSampler):
    """timm's, which is DeiT's (Hoffer et al., 2020): images in random order, each of them
    ``num_repeats`` times in a row and on as many processes, until as many are drawn as the data set
    has, rounded down to multiples of 256. An epoch shows a third of the images.

    The order follows from the epoch alone.

    Args:
        dataset (Sized): The data set.
        seed (int, optional): Not used; MMEngine gives it.
        num_repeats (int): How often an image is drawn.
    """

    def __init__(self, dataset: Sized, seed: int | None = None, num_repeats: int = 3) -> None:
        rank, processes = get_dist_info()
        super().__init__(dataset, processes, rank, num_repeats=num_repeats)
