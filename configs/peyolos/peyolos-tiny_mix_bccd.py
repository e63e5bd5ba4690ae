# PEYOLOS on mixed images of blood cells, from scratch: 4 blocks, P16, g2, 256x192.
#   python tools/train.py configs/peyolos/peyolos-tiny_mix_bccd.py --amp
# 14 minutes on one CPU core with bfloat16, evaluations included. Expect mAP 0.242, AP50 0.456 on
# the 72 test images after the last epoch, seed 0; it still rises by 0.02 in the last 20 epochs.
# Start from a trained YOLOS (docs/checkpoints.md) for more.
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/default_runtime.py'
]

# A third of PEYOLOS-tiny's blocks and small images, so that two CPU cores get through enough
# iterations: matching takes its time to settle. No image of BCCD has more than 30 objects.
model = dict(
    data_preprocessor=dict(mean=[188., 178., 183.], std=[15., 26., 19.]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        nonlinear_embed=False,
        num_det_tokens=50,
        table_size=(192, 256),
        local_start=True),
    # Without the losses on patches detection tokens did not begin to read the images in 50 epochs
    # (mAP 0.007), with them and without the local start half as fast.
    bbox_head=dict(num_classes=3, patch_loss_weight=1.),
    test_cfg=dict(max_per_img=50))

size = (256, 192)
whole = [dict(type='Resize', scale=size, keep_ratio=True)]
part = [
    dict(type='RandomResize', scale=size, ratio_range=(1., 2.), keep_ratio=True),
    dict(type='RandomCrop', crop_size=size),
    # Slivers of cells at the border say nothing.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(6, 6)),
]
load, annotations, _, flip, mix, pack = _base_.train_pipeline
train_pipeline = [
    load, annotations,
    dict(type='RandomChoice', transforms=[whole, part], prob=[.4, .6]), flip, mix, pack
]
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = size
train_dataloader = dict(
    batch_size=8,
    dataset=dict(datasets=[
        dict(split, pipeline=train_pipeline) for split in _base_.train_dataloader.dataset.datasets
    ]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# 100 epochs * 292 images / batch 8 = 3700 iterations
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.))
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=100, T_max=100,
         convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
