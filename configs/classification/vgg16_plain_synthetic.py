# VGG16 with batch norm on plain synthetic images: stage 1 of
# ../protectors/vgg16_light_synthetic.py. Expect top-1 77.8 % (seed 0, with --amp).
#   python tools/train_protector_classifier.py --models vgg16_bn_cifar    # both stages
_base_ = './resnet20_plain_synthetic.py'

model = dict(name='vgg16_bn_cifar')
