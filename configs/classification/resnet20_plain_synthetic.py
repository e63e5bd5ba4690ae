# ResNet-20 on plain synthetic images of 32x32: stage 1 of
# ../protectors/resnet20_light_synthetic.py. Expect top-1 76.2 % (seed 0, with --amp).
#   python tools/train_protector_classifier.py --models resnet20_cifar    # both stages
# With tools/train.py, after
#   python -c "from mmppvit.datasets.synthetic_classes import write_synthetic_classes as write; \
#       write('data/synthetic_classes_32', 1200, 400, 32)"
#   python tools/train.py configs/classification/resnet20_plain_synthetic.py
_base_ = [
    '../_base_/datasets/synthetic_classes_32.py', '../_base_/schedules/sgd_16e_synthetic.py',
    '../_base_/classification_runtime.py'
]

model = dict(type='TimmClassifier', name='resnet20_cifar', kwargs=dict(num_classes=6))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
custom_hooks = [dict(type='CheckedLoadHook', strict=True), dict(type='ExportClassifierHook')]
