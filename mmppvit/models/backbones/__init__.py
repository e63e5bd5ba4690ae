from mmppvit.models.backbones.pevit import PEViT

__all__ = ['PEViT']
