"""Small residual networks for small images, which neither timm nor torchvision has."""
from __future__ import annotations

import torch.nn.functional as F  # noqa: N812, as everywhere
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

__all__ = ['CIFAR_CFG', 'CifarResNet']

# Mean and deviation of CIFAR-10's training images.
CIFAR_CFG = dict(
    url='', num_classes=10, input_size=(3, 32, 32), pool_size=None, crop_pct=1.,
    interpolation='bilinear', fixed_input_size=False, mean=(.4914, .4822, .4465),
    std=(.2470, .2435, .2616), classifier='head', license='apache-2.0')


class _Block(nn.Module):
    """Two 3x3 convolutions around a shortcut that has no weights: option A of the paper."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.more = stride, channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, ::self.stride, ::self.stride],
                         (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(residual + shortcut)


class CifarResNet(nn.Module):
    """ResNet for CIFAR (He et al., *Deep residual learning*, 2016, section 4.2).

    A 3x3 convolution, three stages of ``(depth - 2) / 6`` blocks with 16, 32 and 64 channels, the
    second and third at half the resolution of the one before, the mean, one linear layer. Depth 20
    with 10 classes has 0.27 M parameters.

    Args:
        depth (int): 6 n + 2 layers.
        num_classes (int): Of the head.
        in_chans (int): Channels of the image.

    Raises:
        ValueError: There is no such depth.
    """

    def __init__(self, depth: int = 20, num_classes: int = 10, in_chans: int = 3) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f'depth must be 6 n + 2, e.g. 20, 32 or 56, got {depth}')
        self.num_classes = num_classes
        self.conv1 = nn.Conv2d(in_chans, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stages, channels = [], 16
        for stage, width in enumerate((16, 32, 64)):
            strides = [2 if stage else 1] + [1] * (blocks - 1)
            stages.append(nn.Sequential(*(
                _Block(channels if i == 0 else width, width, stride)
                for i, stride in enumerate(strides))))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), normalized -> (B, num_classes)."""
        x = self.stages(F.relu(self.bn1(self.conv1(x))))
        return self.head(x.mean((2, 3)))


default_cfgs = generate_default_cfgs({'resnet20_cifar': dict(CIFAR_CFG, first_conv='conv1')})


@register_model
def resnet20_cifar(pretrained: bool = False, **kwargs) -> CifarResNet:
    """ResNet-20 for images of 32 pixels; any size will do."""
    return build_model_with_cfg(CifarResNet, 'resnet20_cifar', pretrained, **kwargs)
