from mmppvit.models.detectors.keyed_order import KeyedOrder, KeyedOrderMixin, restore_patch_order
from mmppvit.models.detectors.peyolos import PEYOLOS

__all__ = ['PEYOLOS', 'KeyedOrder', 'KeyedOrderMixin', 'restore_patch_order']
