from mmppvit.datasets.transforms.affine_color import RandomAffineColor
from mmppvit.datasets.transforms.baseline_transforms import (
    AddNoiseImage,
    DownsampleImage,
    GaussianBlurImage,
    PixelateImage,
)
from mmppvit.datasets.transforms.load_sealed import (
    LoadSealedAnnotations,
    LoadSealedImage,
    PackSealedInputs,
    ReadSeal,
    open_manifest,
)
from mmppvit.datasets.transforms.mix_center import MixCenterPatches
from mmppvit.datasets.transforms.mix_transforms import MixSubPatches
from mmppvit.datasets.transforms.mosaic import PatchAlignedMosaic
from mmppvit.datasets.transforms.patch_aligned import (
    PatchAlignedRandomCrop,
    PatchAlignedRandomShift,
)
from mmppvit.datasets.transforms.resize_to_patches import ResizeToWholePatches
from mmppvit.datasets.transforms.rotate90 import RandomRotate90
from mmppvit.datasets.transforms.shuffle_transforms import (
    CenterPatches,
    ShufflePatches,
    UnshufflePatches,
)

__all__ = [
    'AddNoiseImage', 'CenterPatches', 'DownsampleImage', 'GaussianBlurImage',
    'LoadSealedAnnotations', 'LoadSealedImage', 'MixCenterPatches', 'MixSubPatches',
    'PackSealedInputs', 'PatchAlignedMosaic',
    'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PixelateImage', 'RandomAffineColor',
    'RandomRotate90', 'ReadSeal', 'ResizeToWholePatches', 'ShufflePatches', 'UnshufflePatches',
    'open_manifest'
]
