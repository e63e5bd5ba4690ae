# The released recipe of PEYOLOS (see peyolos-tiny_mix_coco_release.py) on blood cells, to compare
# with peyolos-tiny_mix_bccd.py: the same four blocks and 256x192, sides scaled down by 0.316, and
# from random weights, from which the release never starts.
#   python tools/train.py configs/peyolos/peyolos-tiny_mix_bccd_release.py
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/default_runtime.py', '../_base_/schedules/adamw_150e_peyolos_release.py'
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        num_det_tokens=50,
        table_size=(192, 256),
        torch_embed_init=True),
    bbox_head=dict(num_classes=3),
    test_cfg=dict(max_per_img=50))

load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
resize = dict(
    type='RandomChoiceResize',
    scales=[(side, 320) for side in range(80, 193, 16)],
    resize_type='ResizeToWholePatches')
crop = [
    dict(
        type='RandomChoiceResize',
        scales=[(128, None), (160, None), (192, None)],
        resize_type='ResizeToWholePatches'),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=(120, 192),
        allow_negative_crop=True)
]
_, annotations, _, _, mix, pack = _base_.train_pipeline
train_pipeline = [
    load, annotations, dict(type='RandomFlip', prob=.5),
    dict(type='RandomChoice', transforms=[[resize], [*crop, resize]]), mix, pack
]
test_pipeline = [
    load,
    dict(type='ResizeToWholePatches', scale=(192, 320)), mix, *_base_.test_pipeline[3:]
]
train_dataloader = dict(
    batch_size=8,
    drop_last=True,
    dataset=dict(datasets=[
        dict(split, filter_cfg=None, pipeline=train_pipeline)
        for split in _base_.train_dataloader.dataset.datasets
    ]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=100, val_interval=20)
param_scheduler = [dict(type='LateCosineLR', T_max=100, eta_min=1e-7)]
randomness = dict(seed=42, diff_rank_seed=True)
