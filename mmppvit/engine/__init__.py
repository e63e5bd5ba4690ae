from mmppvit.engine.hooks import (
    CheckedLoadHook,
    ExportClassifierHook,
    ProtectorHook,
    SealedDataHook,
)
from mmppvit.engine.optim import (
    BFloat16OptimWrapper,
    TrainableOptimWrapperConstructor,
    ViTLayerDecayOptimWrapperConstructor,
    use_amp,
)

__all__ = [
    'BFloat16OptimWrapper', 'CheckedLoadHook', 'ExportClassifierHook', 'ProtectorHook',
    'SealedDataHook', 'TrainableOptimWrapperConstructor', 'ViTLayerDecayOptimWrapperConstructor',
    'use_amp'
]
