"""VGG16 with batch norm for small images: torchvision's layers, one linear head."""
from __future__ import annotations

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from mmppvit.models.classifiers.resnet_cifar import CIFAR_CFG

__all__ = ['CifarVGG']


class CifarVGG(nn.Module):
    """The 13 convolutions of VGG16 (Simonyan and Zisserman, 2015) with batch norm, the mean over
    what is left of the image, one linear layer: 14.7 M parameters with 10 classes.

    Args:
        num_classes (int): Of the head.
        in_chans (int): Channels of the image; 3, as torchvision's layers have it.
        hidden (int): Channels of two more linear layers in the head, each after dropout of a half
            and followed by ReLU, as in the released code of Ito et al. (IEEE Access 2021); 0 for
            none.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 3, hidden: int = 0) -> None:
        super().__init__()
        if in_chans != 3:
            raise ValueError(f'this VGG takes 3 channels, got {in_chans}')
        self.num_classes = num_classes
        self.features = make_layers(cfgs['D'], batch_norm=True)
        if hidden:
            layers = [nn.Dropout(), nn.Linear(512, hidden), nn.ReLU(inplace=True),
                      nn.Dropout(), nn.Linear(hidden, hidden), nn.ReLU(inplace=True)]
            self.head = nn.Sequential(*layers, nn.Linear(hidden, num_classes))
        else:
            self.head = nn.Linear(512, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
                nn.init.zeros_(module.bias)
        if not hidden:
            nn.init.normal_(self.head.weight, std=.01)
            nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), normalized, sides of at least 32 -> (B, num_classes)."""
        return self.head(self.features(x).mean((2, 3)))


default_cfgs = generate_default_cfgs({
    name: dict(CIFAR_CFG, first_conv='features.0')
    for name in ('vgg16_bn_cifar', 'vgg16_bn_cifar_mlp')})


@register_model
def vgg16_bn_cifar(pretrained: bool = False, **kwargs) -> CifarVGG:
    """VGG16 with batch norm for images of 32 pixels; larger ones will do."""
    return build_model_with_cfg(CifarVGG, 'vgg16_bn_cifar', pretrained, **kwargs)


@register_model
def vgg16_bn_cifar_mlp(pretrained: bool = False, **kwargs) -> CifarVGG:
    """The same with three linear layers and dropout: the VGG16 of Ito et al.'s released code."""
    return build_model_with_cfg(CifarVGG, 'vgg16_bn_cifar_mlp', pretrained,
                                **dict(hidden=512) | kwargs)
