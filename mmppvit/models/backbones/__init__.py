from mmppvit.models.backbones.pevit import PEViT
from mmppvit.models.backbones.token_input import TokenInput
from mmppvit.models.backbones.yolos_vit import YOLOSViT

__all__ = ['PEViT', 'TokenInput', 'YOLOSViT']
