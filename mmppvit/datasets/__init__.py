from mmppvit.datasets.coco import CheckedCocoDataset
from mmppvit.datasets.commuting import check_commutes
from mmppvit.datasets.sealed_coco import SealedCocoDataset
from mmppvit.datasets.transforms import (
    AddNoiseImage,
    CenterPatches,
    DownsampleImage,
    GaussianBlurImage,
    LoadSealedAnnotations,
    MixSubPatches,
    PackSealedInputs,
    PatchAlignedMosaic,
    PatchAlignedRandomCrop,
    PatchAlignedRandomShift,
    PixelateImage,
    RandomAffineColor,
    RandomRotate90,
    ReadSeal,
    ShufflePatches,
    UnshufflePatches,
)

__all__ = [
    'AddNoiseImage', 'CenterPatches', 'CheckedCocoDataset', 'DownsampleImage', 'GaussianBlurImage',
    'LoadSealedAnnotations', 'MixSubPatches', 'PackSealedInputs', 'PatchAlignedMosaic',
    'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PixelateImage', 'RandomAffineColor',
    'RandomRotate90', 'ReadSeal', 'SealedCocoDataset', 'ShufflePatches', 'UnshufflePatches',
    'check_commutes'
]
