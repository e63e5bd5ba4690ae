"""Encryption of images for position-free vision transformers; NumPy and cryptography only."""
from mmppvit.encryption.centering import center_patches
from mmppvit.encryption.keys import DERIVATIONS, Key, KeyFileError, permutation
from mmppvit.encryption.mixing import mix_sub_patches
from mmppvit.encryption.patches import (
    check_grid,
    check_whole_patches,
    merge_patches,
    pad_to_patches,
    padded_shape,
    split_patches,
)
from mmppvit.encryption.scheme import SCHEMES, EncryptedImage, Scheme
from mmppvit.encryption.shuffling import (
    blank_patches,
    erode_patches,
    shuffle_patches,
    unshuffle_patches,
)

__all__ = [
    'DERIVATIONS', 'SCHEMES', 'EncryptedImage', 'Key', 'KeyFileError', 'Scheme', 'blank_patches',
    'center_patches', 'check_grid', 'check_whole_patches', 'erode_patches', 'merge_patches',
    'mix_sub_patches', 'pad_to_patches', 'padded_shape', 'permutation', 'shuffle_patches',
    'split_patches', 'unshuffle_patches'
]
