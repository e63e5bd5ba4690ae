# Strides count pixels of the mixed image: 4 is 8 of the plain one.
model = dict(
    type='ATSS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=8),
    backbone=dict(type='PEViT', arch='tiny', patch_size=16, grid=2),
    neck=dict(
        type='SimpleFeaturePyramid',
        in_channels=192,
        out_channels=256,
        scale_factors=(2., 1., .5, .25),
        num_outs=5),
    bbox_head=dict(
        type='ATSSHead',
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
            target_stds=[.1, .1, .2, .2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2., alpha=.25, loss_weight=1.),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.)),
    train_cfg=dict(
        assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=.05,
        nms=dict(type='nms', iou_threshold=.6),
        max_per_img=100))
