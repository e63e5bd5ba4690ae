_base_ = './atss_pevit-tiny_mix.py'

# Half of PEViT-tiny's depth and a narrow head, for two CPU cores.
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=192, num_layers=6, num_heads=3)),
    neck=dict(out_channels=96, scale_factors=(2., 1., .5), num_outs=3),
    bbox_head=dict(
        num_classes=3,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        norm_cfg=dict(type='GN', num_groups=16),
        anchor_generator=dict(octave_base_scale=4, strides=[4, 8, 16])))
