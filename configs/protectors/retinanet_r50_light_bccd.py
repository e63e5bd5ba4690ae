# A light protector for MMDetection's RetinaNet, trained by retinanet_r50_plain_bccd.py, on BCCD.
# For a GPU; not trained here.
#   python tools/train.py configs/protectors/retinanet_r50_light_bccd.py --amp
_base_ = './retinanet_r50_plain_bccd.py'

model = dict(
    _delete_=True,
    type='ProtectedDetector',
    detector=_base_.model,
    checkpoint='work_dirs/retinanet_r50_plain_bccd/epoch_12.pth',
    protector=dict(type='ProtectionUNet', arch='light'),
    alpha=.01,
    perceptual=dict(type='RandomFeatureDistance'))

optim_wrapper = dict(
    constructor='TrainableOptimWrapperConstructor', optimizer=dict(lr=1e-3))
custom_hooks = [*_base_.custom_hooks, dict(type='ProtectorHook')]
