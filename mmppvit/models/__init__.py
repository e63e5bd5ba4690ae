import mmppvit.models.classifiers.protected_classifier
import mmppvit.models.classifiers.timm_classifier  # noqa: F401
from mmppvit.models.backbones import PEViT, TokenInput, YOLOSViT
from mmppvit.models.classifiers import PEViTClassifier
from mmppvit.models.dense_heads import YOLOSHead
from mmppvit.models.detectors import PEYOLOS, KeyedOrder, KeyedOrderMixin, ProtectedDetector
from mmppvit.models.necks import SimpleFeaturePyramid
from mmppvit.models.protectors import ProtectionUNet

__all__ = [
    'PEYOLOS', 'KeyedOrder', 'KeyedOrderMixin', 'PEViT', 'PEViTClassifier', 'ProtectedDetector',
    'ProtectionUNet', 'SimpleFeaturePyramid', 'TokenInput', 'YOLOSHead', 'YOLOSViT'
]
