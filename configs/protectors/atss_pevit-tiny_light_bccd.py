# A light protector for the trained detector of ../bccd/atss_pevit-tiny_plain_bccd.py, on BCCD: the
# method of Ito et al. (IEEE Access 2021), which they showed for classifiers.
#   python tools/train.py configs/bccd/atss_pevit-tiny_plain_bccd.py --amp
#   python tools/train.py configs/protectors/atss_pevit-tiny_light_bccd.py --amp
# The mAP that is logged is the frozen detector's on protected 8-bit images: 0.578 after 6 epochs,
# of 0.590 on plain ones; docs/learned-protection.md has the command and more. The protector is in
# work_dirs/atss_pevit-tiny_light_bccd/protector.safetensors at the end. With a reconstructor that
# it must beat (0.523): --cfg-options model.reconstructor.beta=10. Other weights of the detector:
# --cfg-options model.checkpoint=FILE
_base_ = '../bccd/atss_pevit-tiny_plain_bccd.py'

model = dict(
    _delete_=True,
    type='ProtectedDetector',
    detector=_base_.model,
    checkpoint='work_dirs/atss_pevit-tiny_plain_bccd/epoch_12.pth',
    protector=dict(type='ProtectionUNet', arch='light'),
    alpha=.01,
    # VGG16's own size and whole images would take longer than all the rest.
    perceptual=dict(type='RandomFeatureDistance', channels=(16, 32), crop=192))

optim_wrapper = dict(constructor='TrainableOptimWrapperConstructor')
custom_hooks = [*_base_.custom_hooks, dict(type='ProtectorHook')]
