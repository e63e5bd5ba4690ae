# The protector of Ito et al. (IEEE Access 2021) for a frozen classifier on CIFAR-100 by the
# released recipe: U-Net, 0.01 times the distance of VGG16's features, the epoch with the least
# loss on held-out images. float32, one GPU. Not trained here.
#   python tools/train.py configs/classification/vgg16_plain_cifar100_release.py
#   python tools/train.py configs/protectors/vgg16_cifar100_release.py
# The file of VGG16's ImageNet weights is needed, and nothing stands in for it:
# https://download.pytorch.org/models/vgg16-397923af.pth below checkpoints/.
_base_ = [
    '../classification/vgg16_plain_cifar100_release.py',
    '../_base_/models/protector_release.py'
]

model = dict(
    _delete_=True,
    classifier=_base_.model,
    checkpoint='work_dirs/vgg16_plain_cifar100_release/classifier.safetensors',
    **_base_.protected)
custom_hooks = _base_.protector_hooks
