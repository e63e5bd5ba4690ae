# A light protector for the frozen ResNet-20 of ../classification/resnet20_plain_synthetic.py.
# Expect top-1 72.5 % on protected 8-bit images, of 76.2 % on plain ones (seed 0, with --amp).
#   python tools/train_protector_classifier.py --models resnet20_cifar --amp    # both stages
#   python tools/train.py configs/protectors/resnet20_light_synthetic.py --amp  # stage 2
_base_ = '../classification/resnet20_plain_synthetic.py'

model = dict(
    _delete_=True,
    type='ProtectedClassifier',
    classifier=_base_.model,
    checkpoint='work_dirs/resnet20_plain_synthetic/classifier.safetensors',
    protector=dict(type='ProtectionUNet', arch='light'),
    alpha=.01,
    # A sixteenth of the computation of VGG16's channels.
    perceptual=dict(type='RandomFeatureDistance', channels=(16, 32)))
train_cfg = dict(max_epochs=12)
param_scheduler = [
    dict(type='LinearLR', start_factor=.05, begin=0, end=20, by_epoch=False),
    dict(type='MultiStepLR', milestones=[4, 7, 10], gamma=.2, by_epoch=True)
]
custom_hooks = [dict(type='CheckedLoadHook', strict=True), dict(type='ProtectorHook')]
