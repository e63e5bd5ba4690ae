from mmppvit.engine.checked_load import CheckedLoadHook
from mmppvit.engine.layer_decay import ViTLayerDecayOptimWrapperConstructor
from mmppvit.engine.sealed_data import SealedDataHook

__all__ = ['CheckedLoadHook', 'SealedDataHook', 'ViTLayerDecayOptimWrapperConstructor']
