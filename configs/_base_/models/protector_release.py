# What the protectors of Ito et al. (IEEE Access 2021) share in the released recipe: U-Net, 0.01
# times the distance of VGG16's features, the epoch with the least loss on held-out images.
protected = dict(
    type='ProtectedClassifier',
    protector=dict(type='ProtectionUNet', arch='paper'),
    alpha=.01,
    report_loss=True,
    perceptual=dict(type='VGGDistance', checkpoint='checkpoints/vgg16-397923af.pth'))
protector_hooks = [
    dict(type='CheckedLoadHook', strict=True),
    dict(type='ProtectorHook', best=True)
]
