from mmppvit.models.detectors.keyed_order import KeyedOrder, KeyedOrderMixin, restore_patch_order
from mmppvit.models.detectors.peyolos import PEYOLOS
from mmppvit.models.detectors.protected_detector import ProtectedDetector

__all__ = ['PEYOLOS', 'KeyedOrder', 'KeyedOrderMixin', 'ProtectedDetector', 'restore_patch_order']
