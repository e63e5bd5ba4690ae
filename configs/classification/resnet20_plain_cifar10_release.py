# ResNet-20 on plain CIFAR-10, stage 1 of ../protectors/resnet20_cifar10_release.py, by the
# released recipe of Ito et al. (IEEE Access 2021), setting by setting: docs/reproduction.md has
# the table. ImageNet's mean and deviation, a tenth of the training images held out, the epoch
# with the least loss on them. float32, one GPU. Not trained here.
#   python tools/train.py configs/classification/resnet20_plain_cifar10_release.py
# The accuracy on the test images:
#   python tools/test.py configs/classification/resnet20_plain_cifar10_release.py \
#       work_dirs/resnet20_plain_cifar10_release/best_held_out_loss_epoch_N.pth
_base_ = './resnet20_plain_cifar10.py'

model = dict(mean=(.485, .456, .406), std=(.229, .224, .225))

held_out = .1
train_dataloader = dict(drop_last=False, dataset=dict(held_out=held_out))
val_dataloader = dict(batch_size=256, dataset=dict(split='held_out', held_out=held_out))
val_evaluator = [dict(type='TopAccuracy'), dict(type='HeldOutLoss')]
test_dataloader = dict(batch_size=256)
test_evaluator = dict(type='TopAccuracy')

default_hooks = dict(checkpoint=dict(save_best='held_out/loss', rule='less'))
custom_hooks = [
    dict(type='CheckedLoadHook', strict=True),
    dict(type='ExportClassifierHook', best=True)
]
randomness = dict(seed=100)
