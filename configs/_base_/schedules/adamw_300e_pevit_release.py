# The schedule of the released PEViT: warm-up from 1e-6 over 5 epochs, then DeiT's cosine to 1e-5,
# both in steps of whole epochs and one epoch late. The learning rate is that of 512 images per step
# and is scaled with their number: 1.5e-3 for 8 GPUs with 192 each.
train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='ClassifierOptimWrapperConstructor',
    # The reference decays: the released model exempts the class token alone, and the reference is
    # no vector there.
    paramwise_cfg=dict(
        custom_keys={'model.reference_encoding.reference': dict(decay_mult=1.)}),
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=.05))
param_scheduler = [
    dict(type='LateCosineLR', T_max=300, eta_min=1e-5, warmup_epochs=5, warmup_lr=1e-6)
]
auto_scale_lr = dict(base_batch_size=512, enable=True)
