# PEYOLOS (Hao et al., arXiv 2306.03679): YOLOS on mixed images. Matching and losses are DETR's,
# weights 1 : 5 : 2, without auxiliary losses.
model = dict(
    type='PEYOLOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=8),
    backbone=dict(
        type='YOLOSViT',
        arch='tiny',
        patch_size=16,
        grid=2,
        nonlinear_embed=True,
        num_det_tokens=100,
        table_size=(800, 1333)),
    bbox_head=dict(
        type='YOLOSHead',
        num_classes=80,
        embed_dims=192,
        no_object_weight=.1,
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=1.),
        loss_bbox=dict(type='L1Loss', loss_weight=5.),
        loss_iou=dict(type='GIoULoss', loss_weight=2.)),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.),
                dict(type='BBoxL1Cost', weight=5., box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.)
            ])),
    test_cfg=dict(max_per_img=100))
