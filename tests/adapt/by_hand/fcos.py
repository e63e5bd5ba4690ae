_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', './encrypted_bccd.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(_delete_=True, **_base_.encrypted_backbone),
    neck=dict(_delete_=True, **_base_.encrypted_neck),
    bbox_head=dict(
        num_classes=3,
        strides=[4, 8, 16, 32, 64],
        regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256), (256, 1e8))))
train_dataloader = dict(dataset=dict(pipeline=_base_.encrypted_pipeline))
optim_wrapper = dict(  # FCOS has its own
    _delete_=True, **dict(_base_.adamw, clip_grad=dict(max_norm=35, norm_type=2)))
