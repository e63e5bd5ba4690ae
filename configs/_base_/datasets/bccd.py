# BCCD: 364 microscope images of blood cells, 640x480, 3 classes. Trained on train + val (292
# images), scored on test (72), at 0.8 of the size: whole patches of 16.
data_root = '{{$MMPPVIT_DATA:data}}/bccd/'
metainfo = dict(
    classes=('RBC', 'WBC', 'Platelets'), palette=[(220, 20, 60), (60, 60, 200), (40, 160, 90)])
img_scale = (512, 384)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=img_scale, keep_ratio=True),
    dict(  # a cell has no up and down
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
train_split = dict(split, filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(train_split, ann_file='annotations/instances_train.json'),
            dict(train_split, ann_file='annotations/instances_val.json'),
        ]))
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
