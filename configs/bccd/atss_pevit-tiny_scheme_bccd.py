# One recipe for every way of making images unreadable, to compare what they cost the detector:
#   SCHEME=blur STRENGTH=4 python tools/train.py configs/bccd/atss_pevit-tiny_scheme_bccd.py --amp \
#       --work-dir work_dirs/plane/blur4
# WIDTH and HEIGHT in pixels; configs/_base_/schemes/from_environment.py has the other variables.
# 5 epochs; docs/results.md has the figures.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd.py',
    '../_base_/schemes/from_environment.py', '../_base_/schedules/adamw_12e_bccd.py',
    '../_base_/default_runtime.py'
]

scheme, patch, grid = _base_.scheme, _base_.patch, _base_.grid
strength, gain = _base_.strength, _base_.gain
size = (int('{{$WIDTH:512}}'), int('{{$HEIGHT:384}}'))

# Of the images that the detector gets: centering takes the mean away and most of the deviation,
# which a gain multiplies again; noise adds to it; the others change little.
mean, std = [188., 178., 183.], [15., 26., 19.]
if scheme == 'mix+center':
    kept = 1 - strength
    mean = [128 + kept * (m - 128) for m in mean]
    std = [(kept**2 * s**2 + (gain * t)**2)**.5 for s, t in zip(std, (3., 4.7, 3.6), strict=True)]
if scheme == 'noise':
    std = [(s**2 + strength**2)**.5 for s in std]

# Levels of a 64th, a 32nd and a 16th of the image, whatever its size and patches.
finest = patch * 64 // size[0]
model = dict(
    data_preprocessor=dict(mean=mean, std=std, pad_size_divisor=patch // grid),
    backbone=dict(patch_size=patch, grid=grid),
    neck=dict(scale_factors=(finest, finest / 2, finest / 4)),
    bbox_head=dict(
        # Pixels of the image that the detector gets; of small mixed ones half a pixel.
        anchor_generator=dict(strides=[patch / grid / finest * n for n in (1, 2, 4)])))

train_pipeline = [*_base_.train_pipeline[:-1], *_base_.encrypt, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:2], *_base_.encrypt, *_base_.test_pipeline[2:]]
train_pipeline[2].scale = test_pipeline[1].scale = size
train_dataloader = dict(
    dataset=dict(datasets=[
        dict(part, pipeline=train_pipeline) for part in _base_.train_dataloader.dataset.datasets
    ]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=5, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=5, T_max=5,
         convert_to_iter_based=True)
]
