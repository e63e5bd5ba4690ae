from mmppvit.models.backbones import PEViT
from mmppvit.models.necks import SimpleFeaturePyramid

__all__ = ['PEViT', 'SimpleFeaturePyramid']
