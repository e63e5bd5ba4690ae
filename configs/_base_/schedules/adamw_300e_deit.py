# DeiT's schedule (Touvron et al., arXiv 2012.12877): AdamW, 5 epochs of linear warmup, then a
# cosine. The learning rate is that of 512 images per step and is scaled with their number.
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)

optim_wrapper = dict(
    type='OptimWrapper',
    # Biases, norms and what timm's model itself names (class token, positions) do not decay.
    constructor='ClassifierOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=.002, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=295,
        begin=5,
        end=300,
        eta_min_ratio=.02,
        by_epoch=True,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=512, enable=True)

# Averaged weights: tools/train_classifier.py --ema appends this hook to custom_hooks.
ema_hook = dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=100, momentum=1 - .9999)
