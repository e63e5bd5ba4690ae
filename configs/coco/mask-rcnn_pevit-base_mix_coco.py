# Mask R-CNN on mixed COCO images: PEViT-base, P16, g2, 800x1333. Not trained here.
#   tools/dist_train.sh configs/coco/mask-rcnn_pevit-base_mix_coco.py 8 --amp
# Memory short? model.backbone.with_cp=True recomputes the blocks in the backward pass.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py', '../_base_/datasets/coco_instance_mix.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]

# Pixels of the mixed image: half of the usual ones, RoIs are assigned to levels alike.
roi_extractor = dict(featmap_strides=[2, 4, 8, 16], finest_scale=28)
model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(
        _delete_=True, type='PEViT', arch='base', patch_size=16, grid=2, drop_path_rate=.1),
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=768,
        out_channels=256,
        scale_factors=(4., 2., 1., .5),
        num_outs=5),
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(bbox_roi_extractor=roi_extractor, mask_roi_extractor=roi_extractor))
