from mmppvit.models.classifiers.pevit import PEViTClassifier

__all__ = ['PEViTClassifier']
