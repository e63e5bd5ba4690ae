# YOLOS-tiny: PEYOLOS' plain counterpart, for comparison. Not trained here.
#   tools/dist_train.sh configs/peyolos/yolos-tiny_plain_coco.py 8 --amp
_base_ = './peyolos-tiny_mix_coco.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(grid=1, nonlinear_embed=False))

train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'MixSubPatches']
test_pipeline = [step for step in _base_.test_pipeline if step['type'] != 'MixSubPatches']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
