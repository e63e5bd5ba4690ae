# The control of atss_pevit-tiny_mix_bccd.py: the same detector on the plain images.
#   python tools/train.py configs/bccd/atss_pevit-tiny_plain_bccd.py --amp
# 5.7 minutes on two CPU cores with bfloat16, evaluations included. Expect mAP 0.583, AP50 0.898 on
# the 72 test images after the last epoch, seed 0, a point more or less.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(grid=1),
    bbox_head=dict(anchor_generator=dict(strides=[8, 16, 32])))
