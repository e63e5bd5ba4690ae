# ATSS on a small position-free ViT, trained from scratch on mixed synthetic shapes (2x2 sub-patches
# of 16x16 patches become one). For a look at the whole way, not for a benchmark.
#   python tools/demo.py
# Less than 4 minutes on two CPU cores. Expect mAP 0.514, AP50 0.816 on its 96 val images, seed 0.
_base_ = '../_base_/default_runtime.py'

dataset_type = 'CheckedCocoDataset'
data_root = '{{$MMPPVIT_DATA:data}}/synthetic_shapes/'
metainfo = dict(
    classes=('ellipse', 'rectangle', 'triangle', 'star', 'cross'),
    palette=[(230, 60, 60), (50, 110, 230), (20, 150, 80), (235, 150, 10), (150, 60, 200)])
img_scale = (192, 192)  # that of the synthetic images; set your own for other data
patch_size = 16
grid = 2
channels = 128

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='MixSubPatches', patch_size=patch_size, grid=grid),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='MixSubPatches', patch_size=patch_size, grid=grid),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=16),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + 'annotations/instances_val2017.json', metric='bbox')
test_evaluator = val_evaluator

model = dict(
    type='ATSS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=patch_size // grid),
    backbone=dict(
        type='PEViT',
        arch=dict(embed_dims=128, num_layers=2, num_heads=2),
        patch_size=patch_size,
        grid=grid),
    neck=dict(
        type='SimpleFeaturePyramid',
        in_channels=128,
        out_channels=channels,
        scale_factors=(1., .5)),
    bbox_head=dict(
        type='ATSSHead',
        num_classes=len(metainfo['classes']),
        in_channels=channels,
        stacked_convs=3,
        feat_channels=channels,
        norm_cfg=dict(type='GN', num_groups=16),
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=4,
            scales_per_octave=1,
            # 16 and 32 pixels of the plain image, counted in the mixed one
            strides=[16 // grid, 32 // grid]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder', target_means=[.0] * 4, target_stds=[.1, .1, .2, .2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2., alpha=.25, loss_weight=1.),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.)),
    train_cfg=dict(
        assigner=dict(type='ATSSAssigner', topk=9),
        allowed_border=-1,
        pos_weight=-1,
        debug=False),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=.05,
        nms=dict(type='nms', iou_threshold=.6),
        max_per_img=100))

max_epochs = 12
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
    clip_grad=dict(max_norm=5.))
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        begin=0,
        T_max=max_epochs,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20))
