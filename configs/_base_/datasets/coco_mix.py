_base_ = './coco.py'

mix = dict(type='MixSubPatches', patch_size=16, grid=2)
train_pipeline = [*_base_.train_pipeline[:-1], mix, _base_.train_pipeline[-1]]
# Before LoadAnnotations: results are scored in the plain frame.
test_pipeline = [*_base_.test_pipeline[:2], mix, *_base_.test_pipeline[2:]]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
