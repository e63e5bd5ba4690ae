# COCO as the released PEYOLOS reads it: shorter sides of 480 to 800 in steps of 16, half of the
# images cropped before; both sides are rounded down to whole patches by the resize, which is
# PIL's; images without objects are kept, and the order is random.
_base_ = './coco.py'

load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
sides = [(side, 1333) for side in range(480, 801, 16)]
resize = dict(type='RandomChoiceResize', scales=sides, resize_type='ResizeToWholePatches')
crop = [
    dict(
        type='RandomChoiceResize',
        scales=[(400, None), (500, None), (600, None)],
        resize_type='ResizeToWholePatches'),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=(384, 600),
        allow_negative_crop=True)
]
mix = dict(type='MixSubPatches', patch_size=16, grid=2)
train_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='RandomChoice', transforms=[[resize], [*crop, resize]]), mix,
    dict(type='PackDetInputs')
]
test_pipeline = [
    load,
    dict(type='ResizeToWholePatches', scale=(800, 1333)), mix, *_base_.test_pipeline[2:]
]

train_dataloader = dict(
    batch_size=1,
    drop_last=True,
    batch_sampler=None,
    dataset=dict(filter_cfg=None, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
