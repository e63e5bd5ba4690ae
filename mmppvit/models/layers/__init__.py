from mmppvit.models.layers.induced_attention import InducedAttention
from mmppvit.models.layers.lean_blocks import read_last, run_block
from mmppvit.models.layers.local_start import spread_places, start_local, wave_positions
from mmppvit.models.layers.patch_embed import MixedPatchEmbed
from mmppvit.models.layers.reference_encoding import ReferenceEncoding
from mmppvit.models.layers.vit_blocks import (
    VIT_ARCHS,
    build_blocks,
    init_vit_weights,
    resolve_arch,
    vit_norm,
)

__all__ = [
    'VIT_ARCHS', 'InducedAttention', 'MixedPatchEmbed', 'ReferenceEncoding',
    'build_blocks', 'init_vit_weights',
    'read_last', 'resolve_arch', 'run_block', 'spread_places', 'start_local', 'vit_norm',
    'wave_positions'
]
