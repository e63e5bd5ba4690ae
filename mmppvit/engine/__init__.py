from mmppvit.engine.checked_load import CheckedLoadHook
from mmppvit.engine.layer_decay import ViTLayerDecayOptimWrapperConstructor

__all__ = ['CheckedLoadHook', 'ViTLayerDecayOptimWrapperConstructor']
