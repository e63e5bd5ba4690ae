# As resnet20_light_synthetic.py, for a frozen VGG16. Expect top-1 68.8 % on protected 8-bit
# images, of 77.8 % on plain ones (seed 0, with --amp).
#   python tools/train_protector_classifier.py --models vgg16_bn_cifar --amp    # both stages
_base_ = './resnet20_light_synthetic.py'

model = dict(
    classifier=dict(name='vgg16_bn_cifar'),
    checkpoint='work_dirs/vgg16_plain_synthetic/classifier.safetensors')
