# VGG16 with batch norm on plain CIFAR-10: stage 1 of ../protectors/vgg16_paper_cifar10.py, with the
# schedule of Ito et al. (IEEE Access 2021). For a GPU; not trained here.
#   python tools/train.py configs/classification/vgg16_plain_cifar10.py --amp
_base_ = './resnet20_plain_cifar10.py'

model = dict(name='vgg16_bn_cifar')
