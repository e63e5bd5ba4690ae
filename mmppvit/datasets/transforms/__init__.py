from mmppvit.datasets.transforms.mixing import MixSubPatches

__all__ = ['MixSubPatches']
