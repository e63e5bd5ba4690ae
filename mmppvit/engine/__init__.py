from mmppvit.engine.hooks import (
    CheckedLoadHook,
    ExportClassifierHook,
    FolderVisualizationHook,
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
    'BFloat16OptimWrapper', 'CheckedLoadHook', 'ExportClassifierHook', 'FolderVisualizationHook',
    'ProtectorHook', 'SealedDataHook', 'TrainableOptimWrapperConstructor',
    'ViTLayerDecayOptimWrapperConstructor', 'use_amp'
]
