_base_ = './atss_pevit-tiny_mix.py'

# For two CPU cores: 3 of PEViT-tiny's 12 blocks and half the head's width. Fewer blocks and a
# wider head did better than the reverse in short runs that differed in more than that.
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=192, num_layers=3, num_heads=3)),
    neck=dict(out_channels=128, scale_factors=(2., 1., .5), num_outs=3),
    bbox_head=dict(
        num_classes=3,
        in_channels=128,
        feat_channels=128,
        stacked_convs=3,
        norm_cfg=dict(type='GN', num_groups=16),
        # Cells and platelets are 20 to 100 pixels wide.
        anchor_generator=dict(octave_base_scale=4, strides=[4, 8, 16])),
    test_cfg=dict(score_thr=.01))
