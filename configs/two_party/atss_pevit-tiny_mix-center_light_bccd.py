# For weak owners: one convolution in neck and head each, half as wide, two levels, and the six
# blocks with the host. The owner computes less than 15 % of an iteration.
#   mmppvit train two_party/atss_pevit-tiny_mix-center_light_bccd
_base_ = './atss_pevit-tiny_mix-center_bccd.py'

size = (int('{{$WIDTH:512}}'), int('{{$HEIGHT:384}}'))
finest = 512 // size[0]
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=192, num_layers=6, num_heads=3)),
    neck=dict(out_channels=48, scale_factors=(finest, finest / 2), num_outs=2, num_blocks=0),
    bbox_head=dict(
        in_channels=48, feat_channels=48, stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=8),
        anchor_generator=dict(strides=[8 / finest, 16 / finest], octave_base_scale=4)))
