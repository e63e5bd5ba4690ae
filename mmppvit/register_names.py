"""What MMDetection's registries import when they are first asked: light parts, names of the rest.

Models and hooks need timm, which takes seconds to import, and two-party training needs gRPC. They
are imported when a config names one of them, see :mod:`mmppvit.compat.on_import`;
:mod:`mmppvit.register` imports everything at once.
"""
from importlib.util import find_spec

import mmdet.registry
import mmengine.registry

import mmppvit.compat.check_stack
import mmppvit.compat.checkpoint_hook
import mmppvit.compat.coco_api
import mmppvit.compat.fsspec_backend
import mmppvit.datasets
import mmppvit.evaluation
import mmppvit.visualization.sealed_visualizer  # noqa: F401
from mmppvit.compat.later_modules import register_later

_ENGINE, _TWO_PARTY = 'mmppvit.engine', 'mmppvit.two_party.remote_training'
_HAS_GRPC = find_spec('grpc') is not None  # pip install mmppvit[two-party]

register_later(mmdet.registry.MODELS, {
    'mmppvit.models': (
        'AdversarialReconstructor', 'BackboneDistance', 'KeyedOrder', 'LayerNorm2d', 'PEViT',
        'PEYOLOS', 'ProtectedClassifier', 'ProtectedDetector', 'ProtectionUNet',
        'RandomFeatureDistance', 'SimpleFeaturePyramid', 'TimmClassifier', 'TokenInput',
        'VGGDistance', 'YOLOSHead', 'YOLOSViT'),
    _TWO_PARTY: ('RemotePEViT', ) if _HAS_GRPC else ()})
register_later(mmdet.registry.HOOKS, {
    _ENGINE: ('CheckedLoadHook', 'ExportClassifierHook', 'FolderVisualizationHook',
              'KeptAverageHook', 'ProtectorHook', 'SealedDataHook', 'StrideGuardHook'),
    _TWO_PARTY: ('RemoteBackboneHook', ) if _HAS_GRPC else ()})
register_later(mmdet.registry.DATA_SAMPLERS, {
    'mmppvit.datasets.repeated_sampler': ('RepeatedAugmentationSampler', )})
register_later(mmdet.registry.OPTIM_WRAPPER_CONSTRUCTORS, {
    _ENGINE: ('ClassifierOptimWrapperConstructor', 'TrainableOptimWrapperConstructor',
              'ViTLayerDecayOptimWrapperConstructor')})
register_later(mmengine.registry.PARAM_SCHEDULERS, {_ENGINE: ('LateCosineLR', )})
register_later(mmengine.registry.OPTIM_WRAPPERS, {_ENGINE: ('BFloat16OptimWrapper', )})
if _HAS_GRPC:
    register_later(mmengine.registry.MODEL_WRAPPERS, {_TWO_PARTY: ('RemoteDataParallel', )})
