from mmppvit.models.backbones.pevit import PEViT
from mmppvit.models.backbones.token_input import TokenInput

__all__ = ['PEViT', 'TokenInput']
