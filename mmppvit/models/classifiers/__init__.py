from mmppvit.models.classifiers.pevit_classifier import PEViTClassifier
from mmppvit.models.classifiers.resnet_cifar import CifarResNet
from mmppvit.models.classifiers.vgg_cifar import CifarVGG

__all__ = ['CifarResNet', 'CifarVGG', 'PEViTClassifier']
