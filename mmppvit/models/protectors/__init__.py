"""Learned protection: a network whose images an unchanged, plain-trained model still reads."""
from mmppvit.models.protectors.frozen_models import freeze, load_frozen, read_model_config
from mmppvit.models.protectors.perceptual import (
    BackboneDistance,
    FeatureDistance,
    RandomFeatureDistance,
    VGGDistance,
)
from mmppvit.models.protectors.protect_images import (
    protect_batch,
    protect_image,
    round_straight_through,
)
from mmppvit.models.protectors.protector_files import (
    Protector,
    fingerprint,
    load_protector,
    pack_info,
    save_protector,
    unpack_info,
)
from mmppvit.models.protectors.reconstructor import AdversarialReconstructor
from mmppvit.models.protectors.unet import ProtectionUNet

__all__ = [
    'AdversarialReconstructor', 'BackboneDistance', 'FeatureDistance', 'ProtectionUNet',
    'Protector', 'RandomFeatureDistance', 'VGGDistance', 'fingerprint', 'freeze', 'load_frozen',
    'load_protector', 'pack_info', 'protect_batch', 'protect_image',
    'read_model_config', 'round_straight_through', 'save_protector', 'unpack_info'
]
