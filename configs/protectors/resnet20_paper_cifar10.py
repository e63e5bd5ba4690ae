# The protector of Ito et al. (IEEE Access 2021) for a frozen ResNet-20 on CIFAR-10. For a GPU; not
# trained here. Needs https://download.pytorch.org/models/vgg16-397923af.pth below checkpoints/.
#   python tools/train.py configs/classification/resnet20_plain_cifar10.py --amp
#   python tools/train.py configs/protectors/resnet20_paper_cifar10.py --amp
# Both stages, and the table of accuracies: tools/train_protector_classifier.py --data FOLDER
_base_ = '../classification/resnet20_plain_cifar10.py'

model = dict(
    _delete_=True,
    type='ProtectedClassifier',
    classifier=_base_.model,
    checkpoint='work_dirs/resnet20_plain_cifar10/classifier.safetensors',
    protector=dict(type='ProtectionUNet', arch='paper'),
    alpha=.01,
    perceptual=dict(type='VGGDistance', checkpoint='checkpoints/vgg16-397923af.pth'))
custom_hooks = [dict(type='CheckedLoadHook', strict=True), dict(type='ProtectorHook')]
