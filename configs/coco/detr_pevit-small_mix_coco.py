# DETR on mixed COCO images: PEViT-small, P16, g2, 800x1333. Not trained here.
#   tools/dist_train.sh configs/coco/detr_pevit-small_mix_coco.py 8 --amp
# Also the pattern for any config of MMDetection: swap backbone and neck, put MixSubPatches into
# both pipelines, count strides in pixels of the mixed image (DETR has none).
_base_ = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'

custom_imports = dict(imports=['mmppvit'], allow_failed_imports=False)
randomness = dict(seed=0)
custom_data_root = None
custom_classes = None

model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(
        _delete_=True, type='PEViT', arch='small', patch_size=16, grid=2, drop_path_rate=.1),
    neck=dict(  # DETR's encoder works at stride 32 of the plain image
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=384,
        out_channels=256,
        scale_factors=(.5, )))

mix = dict(type='MixSubPatches', patch_size=16, grid=2)
train_pipeline = [*_base_.train_pipeline[:-1], mix, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:2], mix, *_base_.test_pipeline[2:]]

data_root = '{{$MMPPVIT_DATA:data}}/coco/'
checked = dict(type='CheckedCocoDataset', data_root=data_root)
train_dataloader = dict(dataset=dict(checked, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(checked, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
