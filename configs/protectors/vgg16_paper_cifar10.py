# As resnet20_paper_cifar10.py, for a frozen VGG16. For a GPU; not trained here.
#   python tools/train.py configs/classification/vgg16_plain_cifar10.py --amp
#   python tools/train.py configs/protectors/vgg16_paper_cifar10.py --amp
_base_ = './resnet20_paper_cifar10.py'

model = dict(
    classifier=dict(name='vgg16_bn_cifar'),
    checkpoint='work_dirs/vgg16_plain_cifar10/classifier.safetensors')
