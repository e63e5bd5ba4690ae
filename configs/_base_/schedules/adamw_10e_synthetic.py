# DeiT's schedule for 1200 images: 10 epochs, a larger learning rate.
_base_ = './adamw_300e_deit.py'

train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=8e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=.002, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=9,
        begin=1,
        end=10,
        eta_min_ratio=.02,
        by_epoch=True,
        convert_to_iter_based=True)
]
ema_hook = dict(momentum=1 - .99)
