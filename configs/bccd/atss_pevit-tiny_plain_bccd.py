# The control of atss_pevit-tiny_mix_bccd.py: the same detector on the plain images.
#   python tools/train.py configs/bccd/atss_pevit-tiny_plain_bccd.py
# 9.5 minutes on two CPU cores, evaluations included. Expect mAP 0.550, AP50 0.876 on the 72 test
# images after the last epoch (seed 0).
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_20e_bccd.py', '../_base_/default_runtime.py'
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(grid=1),
    bbox_head=dict(anchor_generator=dict(strides=[8, 16, 32])))
