# One recipe on printed circuit boards for every way of making images unreadable:
#   SCHEME=mix+center mmppvit train configs/deeppcb/atss_pevit-tiny_scheme_deeppcb.py
# or a table of them, one after the other:
#   mmppvit plan configs/deeppcb/atss_pevit-tiny_scheme_deeppcb.py --out plans/deeppcb
# WIDTH and HEIGHT in pixels, EPOCHS; configs/_base_/schemes/from_environment.py has the other
# variables. docs/results.md has the figures.
_base_ = [
    '../_base_/models/atss_pevit-tiny_scheme.py', '../_base_/datasets/deeppcb.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

size = (int('{{$WIDTH:320}}'), int('{{$HEIGHT:320}}'))
epochs = int('{{$EPOCHS:2}}')

# Measured on 64 training images by `mmppvit plan`, which measures those of every scheme anew.
mean, std = [163.94, 163.94, 163.94], [120.31, 120.31, 120.31]
if _base_.scheme == 'mix+center':
    mean, std = [128., 128., 128.], [_base_.gain * s for s in [31.67, 31.67, 31.67]]
model = dict(
    data_preprocessor=dict(mean=mean, std=std),
    bbox_head=dict(num_classes=6))

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
