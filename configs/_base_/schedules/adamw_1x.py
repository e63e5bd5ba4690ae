# ViTDet's optimizer on the length of MMDetection's 1x: 12 epochs, batch 16.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=12, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='ViTLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=.7),
    optimizer=dict(type='AdamW', lr=1e-4, betas=(.9, .999), weight_decay=.1),
    clip_grad=dict(max_norm=1.))
param_scheduler = [
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=.1)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
