# One recipe on street scenes for every way of making images unreadable:
#   SCHEME=mix+center mmppvit train configs/plates/atss_pevit-tiny_scheme_plates.py
# or a table of them, one after the other:
#   mmppvit plan configs/plates/atss_pevit-tiny_scheme_plates.py --out plans/plates
# WIDTH and HEIGHT in pixels, EPOCHS; configs/_base_/schemes/from_environment.py has the other
# variables. docs/results.md has the figures.
_base_ = [
    '../_base_/models/atss_pevit-tiny_scheme.py', '../_base_/datasets/plates.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

size = (int('{{$WIDTH:448}}'), int('{{$HEIGHT:256}}'))
epochs = int('{{$EPOCHS:8}}')

# Measured on 64 training images by `mmppvit plan`, which measures those of every scheme anew.
mean, std = [115.87, 67.38, 93.67], [56.01, 52.79, 58.65]
if _base_.scheme == 'mix+center':
    mean, std = [128., 128., 128.], [_base_.gain * s for s in [8.73, 8.2, 8.31]]
model = dict(
    data_preprocessor=dict(mean=mean, std=std),
    bbox_head=dict(num_classes=1))

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
