# BCCD as three sealed data sets, train, val and test, below data_root. docs/sealed-data.md has the
# commands that make them; the plain images are not needed.
data_root = '{{$MMPPVIT_SEALED:data/sealed}}/bccd_mix/'
metainfo = dict(
    classes=('RBC', 'WBC', 'Platelets'), palette=[(220, 20, 60), (60, 60, 200), (40, 160, 90)])

train_pipeline = [
    dict(type='LoadSealedImage'),
    dict(type='LoadSealedAnnotations', with_bbox=True),
    dict(  # a cell has no up and down
        type='RandomFlip',
        prob=[.25, .25, .25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackSealedInputs')
]
test_pipeline = [
    dict(type='LoadSealedImage'),
    dict(type='LoadAnnotations', with_bbox=True),  # results are scored in the plain frame
    dict(
        type='PackSealedInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

split = dict(type='SealedCocoDataset', data_root=data_root, metainfo=metainfo)
train_split = dict(split, filter_cfg=dict(filter_empty_gt=True), pipeline=train_pipeline)
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[dict(train_split, sealed='train'), dict(train_split, sealed='val')]))
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split, sealed='test', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric', ann_file=data_root + 'test/annotations.json', metric='bbox')
test_evaluator = val_evaluator
