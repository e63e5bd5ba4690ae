# What the six configs of this folder share, as one writes it by hand after docs/adapt.md.
custom_imports = dict(imports=['mmppvit'], allow_failed_imports=False)

encrypted_backbone = dict(
    type='PEViT',
    arch=dict(embed_dims=64, num_layers=2, num_heads=2),
    patch_size=16,
    grid=2)

encrypted_neck = dict(
    type='SimpleFeaturePyramid',
    in_channels=64,
    out_channels=256,
    scale_factors=(2., 1., .5, .25),
    num_outs=5)

encrypted_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='MixSubPatches', patch_size=16, grid=2),
    dict(type='PackDetInputs')
]

adamw = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(.9, .999), weight_decay=.1),
    constructor='ViTLayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(decay_rate=1.),
    clip_grad=dict(max_norm=1.))
