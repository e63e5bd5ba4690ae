"""Learned protection: a network whose pictures an unchanged, plain-trained model still reads."""
from mmppvit.models.protection.files import (
    Protector,
    fingerprint,
    load_protector,
    pack_info,
    save_protector,
    unpack_info,
)
from mmppvit.models.protection.frozen import freeze, load_frozen, read_model_config
from mmppvit.models.protection.perceptual import (
    BackboneDistance,
    FeatureDistance,
    RandomFeatureDistance,
    VGGDistance,
)
from mmppvit.models.protection.pictures import (
    protect_batch,
    protect_picture,
    round_straight_through,
)
from mmppvit.models.protection.reconstructor import AdversarialReconstructor
from mmppvit.models.protection.unet import ProtectionUNet

__all__ = [
    'AdversarialReconstructor', 'BackboneDistance', 'FeatureDistance', 'ProtectionUNet',
    'Protector', 'RandomFeatureDistance', 'VGGDistance', 'fingerprint', 'freeze', 'load_frozen',
    'load_protector', 'pack_info', 'protect_batch', 'protect_picture',
    'read_model_config', 'round_straight_through', 'save_protector', 'unpack_info'
]
