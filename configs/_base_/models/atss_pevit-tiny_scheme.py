# The detector of blood cells with levels of 8, 16 and 32 pixels of the plain image, whatever the
# patches and the scheme are, and half the channels: one core without bfloat16 trains on five images
# of 320x320 a second.
_base_ = ['./atss_pevit-bccd_mix.py', '../schemes/from_environment.py']

finest = _base_.patch / 8
model = dict(
    data_preprocessor=dict(pad_size_divisor=_base_.patch // _base_.grid),
    backbone=dict(patch_size=_base_.patch, grid=_base_.grid),
    neck=dict(out_channels=64, scale_factors=(finest, finest / 2, finest / 4)),
    # Half of the boxes of each set that uses this are smaller than 20 pixels: anchors of 16, 32 and
    # 64.
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(
            octave_base_scale=2, strides=[n / _base_.grid for n in (8, 16, 32)])))
