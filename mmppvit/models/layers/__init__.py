from mmppvit.models.layers.patch_embed import MixedPatchEmbed
from mmppvit.models.layers.reference_encoding import ReferenceEncoding

__all__ = ['MixedPatchEmbed', 'ReferenceEncoding']
