# ATSS on mixed and centered images of blood cells; the backbone is trained by a host that gets the
# patches of each image without their order.
#   mmppvit host --insecure --work-dir work_dirs/host          # or with certificates, elsewhere
#   mmppvit train two_party/atss_pevit-tiny_mix-center_bccd
# MMPPVIT_HOST: ADDRESS:PORT of the host; MMPPVIT_CERTIFICATES: folder of owner.key, owner.crt and
# host.crt. WIDTH and HEIGHT in pixels. docs/two-party-training.md has what was measured.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

size = (int('{{$WIDTH:512}}'), int('{{$HEIGHT:384}}'))
finest = 1024 // size[0]  # levels of a 64th, a 32nd and a 16th of the image
certificates = '{{$MMPPVIT_CERTIFICATES:none}}'
model = dict(
    data_preprocessor=dict(mean=[128., 128., 128.], std=[3., 4.7, 3.6]),
    backbone=dict(
        type='RemotePEViT',
        host='{{$MMPPVIT_HOST:127.0.0.1:50051}}',
        certificates=None if certificates == 'none' else certificates,
        wire='float16'),
    neck=dict(scale_factors=(finest, finest / 2, finest / 4)),
    bbox_head=dict(anchor_generator=dict(strides=[8 / finest * n for n in (1, 2, 4)])))

encrypt = [
    dict(type='MixSubPatches', patch_size=16, grid=2),
    dict(type='CenterPatches', patch_size=16, grid=2, strength=1.)
]
train_pipeline = [*_base_.train_pipeline[:-1], *encrypt, _base_.train_pipeline[-1]]
test_pipeline = [*_base_.test_pipeline[:2], *encrypt, *_base_.test_pipeline[2:]]
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
custom_hooks = [*_base_.custom_hooks, dict(type='RemoteBackboneHook')]
model_wrapper_cfg = dict(type='RemoteDataParallel', broadcast_buffers=False)  # under torchrun
