from mmppvit.engine.hooks.checked_load import CheckedLoadHook
from mmppvit.engine.hooks.export_classifier import ExportClassifierHook
from mmppvit.engine.hooks.folder_visualization import FolderVisualizationHook
from mmppvit.engine.hooks.kept_average import KeptAverageHook
from mmppvit.engine.hooks.protector_training import ProtectorHook
from mmppvit.engine.hooks.sealed_data import SealedDataHook
from mmppvit.engine.hooks.stride_guard import StrideGuardHook

__all__ = ['CheckedLoadHook', 'ExportClassifierHook', 'FolderVisualizationHook',
           'KeptAverageHook', 'ProtectorHook', 'SealedDataHook', 'StrideGuardHook']
