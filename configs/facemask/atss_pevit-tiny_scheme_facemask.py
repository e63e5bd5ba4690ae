# One recipe on people's photographs for every way of making images unreadable:
#   SCHEME=mix+center mmppvit train configs/facemask/atss_pevit-tiny_scheme_facemask.py
# or a table of them, one after the other:
#   mmppvit plan configs/facemask/atss_pevit-tiny_scheme_facemask.py --out plans/facemask
# WIDTH and HEIGHT in pixels, EPOCHS; configs/_base_/schemes/from_environment.py has the other
# variables. docs/results.md has the figures.
_base_ = [
    '../_base_/models/atss_pevit-tiny_scheme.py', '../_base_/datasets/facemask.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

size = (int('{{$WIDTH:320}}'), int('{{$HEIGHT:320}}'))
epochs = int('{{$EPOCHS:3}}')

# Measured on 64 training images by `mmppvit plan`, which measures those of every scheme anew.
mean, std = [123.3, 117.25, 116.92], [73.82, 73.53, 73.76]
if _base_.scheme == 'mix+center':
    mean, std = [128., 128., 128.], [_base_.gain * s for s in [16.39, 15.95, 15.85]]
model = dict(
    data_preprocessor=dict(mean=mean, std=std),
    bbox_head=dict(num_classes=3))

train_pipeline = [*_base_.train_pipeline[:-1], *_base_.encrypt, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:2], *_base_.encrypt, *_base_.test_pipeline[2:]]
train_pipeline[2].scale = test_pipeline[1].scale = size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=epochs, val_interval=epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=epochs, T_max=epochs,
         convert_to_iter_based=True)
]
