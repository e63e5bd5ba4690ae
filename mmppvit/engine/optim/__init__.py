from mmppvit.engine.optim.bfloat16 import BFloat16OptimWrapper, use_amp
from mmppvit.engine.optim.classifier_decay import ClassifierOptimWrapperConstructor
from mmppvit.engine.optim.late_cosine import LateCosineLR
from mmppvit.engine.optim.layer_decay import ViTLayerDecayOptimWrapperConstructor
from mmppvit.engine.optim.trainable import TrainableOptimWrapperConstructor

__all__ = [
    'BFloat16OptimWrapper', 'ClassifierOptimWrapperConstructor', 'LateCosineLR',
    'TrainableOptimWrapperConstructor', 'ViTLayerDecayOptimWrapperConstructor', 'use_amp'
]
