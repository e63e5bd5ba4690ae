"""Encryption of images for position-free vision transformers; NumPy only."""
from mmppvit.encryption.mixing import mix_sub_patches
from mmppvit.encryption.patches import (
    check_grid,
    check_whole_patches,
    merge_patches,
    pad_to_patches,
    padded_shape,
    split_patches,
)

__all__ = [
    'check_grid', 'check_whole_patches', 'merge_patches', 'mix_sub_patches', 'pad_to_patches',
    'padded_shape', 'split_patches'
]
