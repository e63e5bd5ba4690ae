"""Encryption of images for position-free vision transformers; NumPy and cryptography only."""
from mmppvit.encryption.centering import center_patches
from mmppvit.encryption.degradations import add_noise, blur, downsample, pixelate
from mmppvit.encryption.gained_centering import mix_and_center
from mmppvit.encryption.keys import DERIVATIONS, Key, KeyFileError, permutation
from mmppvit.encryption.levels import CONTRAST, CONTRAST_FLOOR, MIDDLE_LEVEL
from mmppvit.encryption.mixing import mix_sub_patches
from mmppvit.encryption.patches import (
    check_grid,
    check_whole_patches,
    merge_patches,
    pad_to_patches,
    padded_shape,
    split_patches,
)
from mmppvit.encryption.schemes.base import SCHEMES, Change, EncryptedImage, Scheme
from mmppvit.encryption.schemes.baseline_schemes import BASELINES, BaselineScheme
from mmppvit.encryption.schemes.learned import LEARNED, LearnedScheme
from mmppvit.encryption.schemes.scheme_kinds import make_scheme, read_scheme, scheme_names
from mmppvit.encryption.shuffling import (
    blank_patches,
    erode_patches,
    shuffle_patches,
    unshuffle_patches,
)

__all__ = [
    'BASELINES', 'CONTRAST', 'CONTRAST_FLOOR', 'DERIVATIONS', 'LEARNED', 'MIDDLE_LEVEL',
    'SCHEMES', 'BaselineScheme', 'Change', 'EncryptedImage', 'Key', 'KeyFileError',
    'LearnedScheme', 'Scheme', 'add_noise', 'blank_patches', 'blur', 'center_patches',
    'check_grid', 'check_whole_patches', 'downsample', 'erode_patches', 'make_scheme',
    'merge_patches', 'mix_and_center', 'mix_sub_patches', 'pad_to_patches', 'padded_shape',
    'permutation', 'pixelate', 'read_scheme', 'scheme_names', 'shuffle_patches',
    'split_patches', 'unshuffle_patches'
]
