"""Training timm's classifiers, and PEViT, on encrypted pictures in folders of classes."""
from mmppvit.classification.accuracy import TopAccuracy
from mmppvit.classification.drawn_classes import write_drawn_classes
from mmppvit.classification.encryption import PictureEncryption
from mmppvit.classification.export import ExportClassifierHook
from mmppvit.classification.image_folder import EncryptedImageFolder, find_split
from mmppvit.classification.model import TimmClassifier

__all__ = [
    'EncryptedImageFolder', 'ExportClassifierHook', 'PictureEncryption', 'TimmClassifier',
    'TopAccuracy', 'find_split', 'write_drawn_classes'
]
