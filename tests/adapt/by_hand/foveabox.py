_base_ = ['mmdet::foveabox/fovea_r50_fpn_4xb4-1x_coco.py', './encrypted_bccd.py']

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(_delete_=True, **_base_.encrypted_backbone),
    neck=dict(_delete_=True, **_base_.encrypted_neck),
    bbox_head=dict(
        num_classes=3,
        strides=[4, 8, 16, 32, 64],
        base_edge_list=[8, 16, 32, 64, 128],
        scale_ranges=((.5, 32), (16, 64), (32, 128), (64, 256), (128, 1024))))
train_dataloader = dict(dataset=dict(pipeline=_base_.encrypted_pipeline))
optim_wrapper = dict(_delete_=True, **_base_.adamw)
