# The same recipe from pretrained weights, 12 blocks of 384 channels, e.g. DINOv2's ViT-S/14:
#   PRETRAINED=vit_small_patch14_dinov2.safetensors SCHEME=mix+center mmppvit train \
#       configs/facemask/atss_vit-small-dinov2_scheme_facemask.py
# PRETRAINED may be a file that `mmppvit distill` adapted to the scheme; without it, training starts
# from random weights. docs/results.md has the figures.
_base_ = './atss_pevit-tiny_scheme_facemask.py'

pretrained = '{{$PRETRAINED:random}}'
model = dict(
    backbone=dict(
        arch='small',
        class_token=True,
        # What the paper adds is at random weights and would hide what the pretrained ones know.
        reference_encoding=False,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained, kernel='direct')
        if pretrained != 'random' else None),
    neck=dict(in_channels=384))

optim_wrapper = dict(
    optimizer=dict(lr=5e-4), paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=.2))))
