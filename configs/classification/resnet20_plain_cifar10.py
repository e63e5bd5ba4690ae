# ResNet-20 on plain CIFAR-10 (binary version): stage 1 of ../protectors/resnet20_paper_cifar10.py,
# with the schedule of Ito et al. (IEEE Access 2021). For a GPU; not trained here.
# resnet20_plain_cifar10_release.py has their whole recipe.
#   python tools/train.py configs/classification/resnet20_plain_cifar10.py --amp
_base_ = [
    '../_base_/datasets/cifar10.py', '../_base_/schedules/sgd_200e_cifar.py',
    '../_base_/classification_runtime.py'
]

model = dict(type='TimmClassifier', name='resnet20_cifar', kwargs=dict(num_classes=10))
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best=None))
custom_hooks = [dict(type='CheckedLoadHook', strict=True), dict(type='ExportClassifierHook')]
