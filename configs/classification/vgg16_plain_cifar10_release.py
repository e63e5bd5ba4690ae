# VGG16 with three linear layers and dropout on plain CIFAR-10, by the released recipe of Ito et
# al.: see resnet20_plain_cifar10_release.py. Not trained here.
#   python tools/train.py configs/classification/vgg16_plain_cifar10_release.py
_base_ = './resnet20_plain_cifar10_release.py'

model = dict(name='vgg16_bn_cifar_mlp')
