# PEYOLOS on mixed images of blood cells, from scratch: 4 blocks, P16, g2, 256x192.
#   python tools/train.py configs/peyolos/peyolos-tiny_mix_bccd.py --amp
# A quarter of an hour on one CPU core with bfloat16. Do not expect detections: the losses go down,
# mAP was 0.007 after 50 epochs. Matching from scratch takes far more pictures and steps than that;
# start from a trained YOLOS (docs/checkpoints.md) for results.
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/default_runtime.py'
]

# A third of PEYOLOS-tiny's blocks and small pictures, so that two CPU cores get through enough
# iterations: matching takes its time to settle. No picture of BCCD has more than 30 objects.
model = dict(
    data_preprocessor=dict(mean=[188., 178., 183.], std=[15., 26., 19.]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=192, num_layers=4, num_heads=3),
        nonlinear_embed=False,
        num_det_tokens=50,
        table_size=(192, 256),
        sincos_positions=True),
    bbox_head=dict(num_classes=3),
    test_cfg=dict(max_per_img=50))

train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[2].scale = test_pipeline[1].scale = (256, 192)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[
        dict(part, pipeline=train_pipeline) for part in _base_.train_dataloader.dataset.datasets
    ]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# 150 epochs * 292 images / batch 4 = 10950 iterations
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=150, val_interval=25)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=150, T_max=150,
         convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
