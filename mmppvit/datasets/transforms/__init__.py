from mmppvit.datasets.transforms.colour import RandomAffineColor
from mmppvit.datasets.transforms.commuting import (
    PatchAlignedMosaic,
    PatchAlignedRandomCrop,
    PatchAlignedRandomShift,
    RandomRotate90,
)
from mmppvit.datasets.transforms.mixing import MixSubPatches
from mmppvit.datasets.transforms.sealed import (
    LoadSealedAnnotations,
    PackSealedInputs,
    ReadSeal,
    open_manifest,
)
from mmppvit.datasets.transforms.shuffling import CenterPatches, ShufflePatches, UnshufflePatches

__all__ = [
    'CenterPatches', 'LoadSealedAnnotations', 'MixSubPatches', 'PackSealedInputs',
    'PatchAlignedMosaic', 'PatchAlignedRandomCrop', 'PatchAlignedRandomShift',
    'RandomAffineColor', 'RandomRotate90', 'ReadSeal', 'ShufflePatches', 'UnshufflePatches',
    'open_manifest'
]
