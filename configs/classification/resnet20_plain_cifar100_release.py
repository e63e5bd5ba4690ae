# CIFAR-100, a twentieth of the training images held out; else as
# resnet20_plain_cifar10_release.py. Not trained here.
#   python tools/train.py configs/classification/resnet20_plain_cifar100_release.py
_base_ = './resnet20_plain_cifar10_release.py'

data_root = '{{$MMPPVIT_DATA:data}}/cifar-100-binary'
model = dict(kwargs=dict(num_classes=100))
held_out = .05
train_dataloader = dict(dataset=dict(root=data_root, held_out=held_out))
val_dataloader = dict(dataset=dict(root=data_root, held_out=held_out))
test_dataloader = dict(dataset=dict(root=data_root))
