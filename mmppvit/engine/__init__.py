from mmppvit.engine.bfloat16 import BFloat16OptimWrapper, has_fast_bfloat16, use_amp
from mmppvit.engine.checked_load import CheckedLoadHook
from mmppvit.engine.layer_decay import ViTLayerDecayOptimWrapperConstructor
from mmppvit.engine.protection import ProtectorHook, TrainableOptimWrapperConstructor
from mmppvit.engine.sealed_data import SealedDataHook

__all__ = [
    'BFloat16OptimWrapper', 'CheckedLoadHook', 'ProtectorHook', 'SealedDataHook',
    'TrainableOptimWrapperConstructor', 'ViTLayerDecayOptimWrapperConstructor',
    'has_fast_bfloat16', 'use_amp'
]
