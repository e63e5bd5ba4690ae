# The fine-tuning of the released PEYOLOS: lr 1e-4 for the new patch embedding and 1e-5 for all
# else, a cosine to 1e-7 for both that changes after whole epochs. 150 epochs of 8 GPUs with one
# image each.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=150, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Decay: all of the embedding and the heads, biases too; of the rest what is no vector, no class
# or detection token and not the table of positions. Tables between the blocks decay.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-5, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.patch_embed': dict(lr_mult=10.),
            'bbox_head': dict(),
            'backbone.pos_embed': dict(decay_mult=0.),
            'backbone.cls_token': dict(decay_mult=0.),
            'backbone.det_token': dict(decay_mult=0.)
        },
        flat_decay_mult=0.,
        norm_decay_mult=0.,
        bias_decay_mult=0.),
    clip_grad=dict(max_norm=.1))
param_scheduler = [dict(type='LateCosineLR', T_max=150, eta_min=1e-7)]
auto_scale_lr = dict(enable=False, base_batch_size=8)
