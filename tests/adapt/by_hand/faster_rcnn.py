_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './encrypted_bccd.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(_delete_=True, **_base_.encrypted_backbone),
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=64,
        out_channels=256,
        scale_factors=(4., 2., 1., .5),
        num_outs=5),
    rpn_head=dict(anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[2, 4, 8, 16], finest_scale=28),
        bbox_head=dict(num_classes=3)))
train_dataloader = dict(dataset=dict(pipeline=_base_.encrypted_pipeline))
optim_wrapper = dict(_delete_=True, **_base_.adamw)
