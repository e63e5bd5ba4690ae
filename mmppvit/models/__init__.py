from mmppvit.models.backbones import PEViT, TokenInput, YOLOSViT
from mmppvit.models.classifiers import PEViTClassifier
from mmppvit.models.dense_heads import YOLOSHead
from mmppvit.models.detectors import PEYOLOS, KeyedOrder, KeyedOrderMixin
from mmppvit.models.necks import SimpleFeaturePyramid

__all__ = [
    'PEYOLOS', 'KeyedOrder', 'KeyedOrderMixin', 'PEViT', 'PEViTClassifier',
    'SimpleFeaturePyramid', 'TokenInput', 'YOLOSHead', 'YOLOSViT'
]
