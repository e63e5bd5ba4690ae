"""Training timm's classifiers, and PEViT, on encrypted pictures in folders of classes; and
protectors for classifiers."""
from mmppvit.classification.accuracy import TopAccuracy
from mmppvit.classification.cifar import CifarBinary
from mmppvit.classification.drawn_classes import write_drawn_classes
from mmppvit.classification.encryption import PictureEncryption
from mmppvit.classification.export import ExportClassifierHook
from mmppvit.classification.image_folder import EncryptedImageFolder, find_split
from mmppvit.classification.model import TimmClassifier
from mmppvit.classification.protected_classifier import ProtectedClassifier

__all__ = [
    'CifarBinary', 'EncryptedImageFolder', 'ExportClassifierHook', 'PictureEncryption',
    'ProtectedClassifier', 'TimmClassifier', 'TopAccuracy', 'find_split', 'write_drawn_classes'
]
