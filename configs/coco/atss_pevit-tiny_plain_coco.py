# The control of atss_pevit-tiny_mix_coco.py: the same detector on plain images. Not trained here.
#   tools/dist_train.sh configs/coco/atss_pevit-tiny_plain_coco.py 8 --amp
_base_ = [
    '../_base_/models/atss_pevit-tiny_mix.py', '../_base_/datasets/coco.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(grid=1),
    bbox_head=dict(anchor_generator=dict(strides=[8, 16, 32, 64, 128])))
