from mmppvit.models.detectors.keyed_order import KeyedOrder, KeyedOrderMixin, restore_patch_order

__all__ = ['KeyedOrder', 'KeyedOrderMixin', 'restore_patch_order']
