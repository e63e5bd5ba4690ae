# DeepPCB: bilevel scans of printed circuit boards, 640x640, six kinds of defects. Trained on 1000
# images, scored on 332 of boards that are not among them, at half the size: the median box has a
# side of 17 pixels.
data_root = '{{$MMPPVIT_DATA:data}}/deeppcb/'
metainfo = dict(classes=('open', 'short', 'mousebite', 'spur', 'copper', 'pin-hole'))
img_scale = (320, 320)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(  # a board has no up and down
        type='RandomFlip',
        prob=[.25, .25, .25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

split = dict(
    type='CheckedCocoDataset',
    data_root=data_root,
    metainfo=metainfo,
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        split,
        ann_file='annotations/instances_train.json',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        split,
        ann_file='annotations/instances_test.json',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + 'annotations/instances_test.json', metric='bbox')
test_evaluator = val_evaluator
