from mmppvit.datasets.transforms.baselines import (
    AddNoiseImage,
    DownsampleImage,
    GaussianBlurImage,
    PixelateImage,
)
from mmppvit.datasets.transforms.colour import RandomAffineColor
from mmppvit.datasets.transforms.mixing import MixSubPatches
from mmppvit.datasets.transforms.mosaic import PatchAlignedMosaic
from mmppvit.datasets.transforms.patch_aligned import (
    PatchAlignedRandomCrop,
    PatchAlignedRandomShift,
)
from mmppvit.datasets.transforms.rotate90 import RandomRotate90
from mmppvit.datasets.transforms.sealed import (
    LoadSealedAnnotations,
    PackSealedInputs,
    ReadSeal,
    open_manifest,
)
from mmppvit.datasets.transforms.shuffling import CenterPatches, ShufflePatches, UnshufflePatches

__all__ = [
    'AddNoiseImage', 'CenterPatches', 'DownsampleImage', 'GaussianBlurImage',
    'LoadSealedAnnotations', 'MixSubPatches', 'PackSealedInputs', 'PatchAlignedMosaic',
    'PatchAlignedRandomCrop', 'PatchAlignedRandomShift', 'PixelateImage', 'RandomAffineColor',
    'RandomRotate90', 'ReadSeal', 'ShufflePatches', 'UnshufflePatches', 'open_manifest'
]
