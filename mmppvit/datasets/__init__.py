from mmppvit.datasets.checked_coco import CheckedCocoDataset
from mmppvit.datasets.cifar import CifarBinary
from mmppvit.datasets.commuting import check_commutes
from mmppvit.datasets.encrypted_image_folder import EncryptedImageFolder
from mmppvit.datasets.sealed_coco import SealedCocoDataset
from mmppvit.datasets.transforms import (
    AddNoiseImage,
    CenterPatches,
    DownsampleImage,
    GaussianBlurImage,
    LoadSealedAnnotations,
    LoadSealedImage,
    MixCenterPatches,
    MixSubPatches,
    PackSealedInputs,
    PatchAlignedMosaic,
    PatchAlignedRandomCrop,
    PatchAlignedRandomShift,
    PixelateImage,
    RandomAffineColor,
    RandomRotate90,
    ReadSeal,
    ResizeToWholePatches,
    ShufflePatches,
    UnshufflePatches,
)

__all__ = [
    'AddNoiseImage', 'CenterPatches', 'CheckedCocoDataset', 'CifarBinary', 'DownsampleImage',
    'EncryptedImageFolder', 'GaussianBlurImage',
    'LoadSealedAnnotations', 'LoadSealedImage', 'MixCenterPatches', 'MixSubPatches',
    'PackSealedInputs', 'PatchAlignedMosaic',
    'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PixelateImage', 'RandomAffineColor',
    'RandomRotate90', 'ReadSeal', 'ResizeToWholePatches',
    'SealedCocoDataset', 'ShufflePatches',
    'UnshufflePatches', 'check_commutes'
]
