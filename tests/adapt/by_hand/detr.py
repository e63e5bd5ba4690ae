_base_ = ['mmdet::detr/detr_r50_8xb2-150e_coco.py', './encrypted_bccd.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=8),
    backbone=dict(_delete_=True, **_base_.encrypted_backbone),
    neck=dict(
        _delete_=True,
        type='SimpleFeaturePyramid',
        in_channels=64,
        out_channels=256,
        scale_factors=(.5, )),
    bbox_head=dict(num_classes=3))
train_dataloader = dict(dataset=dict(pipeline=_base_.encrypted_pipeline))
optim_wrapper = dict(  # DETR has its own
    _delete_=True, **dict(_base_.adamw, clip_grad=dict(max_norm=.1, norm_type=2)))
param_scheduler = [  # and no warm-up
    dict(type='LinearLR', start_factor=.001, by_epoch=False, begin=0, end=500),
    *_base_.param_scheduler
]
