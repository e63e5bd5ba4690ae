_base_ = ['mmdet::atss/atss_r50_fpn_1x_coco.py', './encrypted_bccd.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(_delete_=True, **_base_.encrypted_backbone),
    neck=dict(_delete_=True, **_base_.encrypted_neck),
    bbox_head=dict(num_classes=3, anchor_generator=dict(strides=[4, 8, 16, 32, 64])))
train_dataloader = dict(dataset=dict(pipeline=_base_.encrypted_pipeline))
optim_wrapper = dict(_delete_=True, **_base_.adamw)
