# Fine-tuning of a YOLOS after Hao et al. (arXiv 2306.03679): lr 1e-4 for the patch embedding and
# 1e-5 for all else, a cosine that changes with every iteration, to a hundredth. 150 epochs *
# 118000 images / batch 16. adamw_150e_peyolos_release.py has the schedule as it was released.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=150, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.patch_embed': dict(lr_mult=10.),
            'pos_embed': dict(decay_mult=0.),
            'cls_token': dict(decay_mult=0.),
            'det_token': dict(decay_mult=0.)
        },
        norm_decay_mult=0.),
    clip_grad=dict(max_norm=.1))
param_scheduler = [
    dict(
        type='CosineAnnealingLR', begin=0, end=150, T_max=150, eta_min_ratio=1e-2,
        by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
