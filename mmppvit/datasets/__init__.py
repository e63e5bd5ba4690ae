from mmppvit.datasets.coco import CheckedCocoDataset
from mmppvit.datasets.transforms import MixSubPatches

__all__ = ['CheckedCocoDataset', 'MixSubPatches']
