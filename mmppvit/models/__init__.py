from mmppvit.models.backbones import PEViT, TokenInput
from mmppvit.models.detectors import KeyedOrder, KeyedOrderMixin
from mmppvit.models.necks import SimpleFeaturePyramid

__all__ = ['KeyedOrder', 'KeyedOrderMixin', 'PEViT', 'SimpleFeaturePyramid', 'TokenInput']
