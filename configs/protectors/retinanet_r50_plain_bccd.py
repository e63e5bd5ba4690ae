# Stage 1 of retinanet_r50_light_bccd.py: MMDetection's RetinaNet on plain images of blood cells,
# from ImageNet weights (torchvision's, fetched by MMEngine). Not trained here.
#   python tools/train.py configs/protectors/retinanet_r50_plain_bccd.py --amp
_base_ = [
    'mmdet::_base_/models/retinanet_r50_fpn.py', '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

model = dict(bbox_head=dict(num_classes=3))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
