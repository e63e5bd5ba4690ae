from mmppvit.engine.hooks import (
    CheckedLoadHook,
    ExportClassifierHook,
    FolderVisualizationHook,
    ProtectorHook,
    SealedDataHook,
    StrideGuardHook,
)
from mmppvit.engine.optim import (
    BFloat16OptimWrapper,
    ClassifierOptimWrapperConstructor,
    TrainableOptimWrapperConstructor,
    ViTLayerDecayOptimWrapperConstructor,
    use_amp,
)

__all__ = [
    'BFloat16OptimWrapper', 'CheckedLoadHook', 'ClassifierOptimWrapperConstructor',
    'ExportClassifierHook', 'FolderVisualizationHook', 'ProtectorHook', 'SealedDataHook',
    'StrideGuardHook', 'TrainableOptimWrapperConstructor', 'ViTLayerDecayOptimWrapperConstructor',
    'use_amp'
]
