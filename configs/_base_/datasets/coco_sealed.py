# COCO as two sealed data sets, train2017 and val2017, below data_root. docs/sealed-data.md has the
# commands that make them; the plain images are not needed.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

data_root = '{{$MMPPVIT_SEALED:data/sealed}}/coco_mix/'
train_pipeline = [
    dict(type='LoadSealedImage'),
    dict(type='LoadSealedAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='PackSealedInputs')
]
test_pipeline = [
    dict(type='LoadSealedImage'),
    dict(type='LoadAnnotations', with_bbox=True),  # results are scored in the plain frame
    dict(
        type='PackSealedInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

split = dict(_delete_=True, type='SealedCocoDataset', data_root=data_root)
train_dataloader = dict(
    dataset=dict(
        split,
        sealed='train2017',
        scale=None,  # 'random' if it was sealed at several
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(split, sealed='val2017', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val2017/annotations.json')
test_evaluator = val_evaluator
