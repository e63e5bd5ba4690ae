# Faster R-CNN on mixed COCO images: PEViT-small, P16, g2, 800x1333. Not trained here.
#   tools/dist_train.sh configs/coco/faster-rcnn_pevit-small_mix_coco.py 8 --amp
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/datasets/coco_mix.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(
        _delete_=True, type='PEViT', arch='small', patch_size=16, grid=2, drop_path_rate=.1),
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=384,
        out_channels=256,
        scale_factors=(4., 2., 1., .5),
        num_outs=5),
    # Pixels of the mixed image: half of the usual ones, RoIs are assigned to levels alike.
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[2, 4, 8, 16], finest_scale=28)))
