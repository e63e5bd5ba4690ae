# The paper's U-Net (34.5 M parameters) and VGG16 distance (Ito et al., IEEE Access 2021), shown
# there for CIFAR classifiers, for MMDetection's published Faster R-CNN on COCO. 8 GPUs; not
# trained here.
#   tools/dist_train.sh configs/protectors/faster-rcnn_r50_paper_coco.py 8 --amp
# Two files are needed below checkpoints/:
# https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_1x_coco/faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth
# https://download.pytorch.org/models/vgg16-397923af.pth
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/datasets/coco.py',
    '../_base_/default_runtime.py'
]

model = dict(
    _delete_=True,
    type='ProtectedDetector',
    detector=_base_.model,
    checkpoint='checkpoints/faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth',
    # Not the paper's batch norm: COCO's images differ in shape, so that most would be normalized
    # alone in training and by the running mean afterwards.
    protector=dict(type='ProtectionUNet', arch='paper', norm='GN'),
    alpha=.01,
    perceptual=dict(type='VGGDistance', checkpoint='checkpoints/vgg16-397923af.pth'))

# The paper's SGD, and its steps at 30, 60 and 80 % of 200 epochs: 12 epochs * 118000 images / batch
# 16 = 88500 iterations, in place of 78200 on CIFAR.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='SGD', lr=.1, momentum=.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[4, 7, 10], gamma=.2)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=16)
custom_hooks = [*_base_.custom_hooks, dict(type='ProtectorHook')]
