_base_ = './coco.py'

# DETR's augmentation: shorter sides of 480 to 800, half of the images cropped before.
sides = [(side, 1333) for side in range(480, 801, 32)]
resize = dict(type='RandomChoiceResize', scales=sides, keep_ratio=True)
mix = dict(type='MixSubPatches', patch_size=16, grid=2)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args={{_base_.backend_args}}),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=.5),
    dict(
        type='RandomChoice',
        transforms=[[resize],
                    [
                        dict(
                            type='RandomChoiceResize',
                            scales=[(400, 1333), (500, 1333), (600, 1333)],
                            keep_ratio=True),
                        dict(
                            type='RandomCrop',
                            crop_type='absolute_range',
                            crop_size=(384, 600),
                            allow_negative_crop=True), resize
                    ]]),
    mix,
    dict(type='PackDetInputs')
]
test_pipeline = [*_base_.test_pipeline[:2], mix, *_base_.test_pipeline[2:]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
