# ATSS on mixed COCO images: PEViT-tiny, P16, g2, 800x1333. Not trained here.
#   tools/dist_train.sh configs/coco/atss_pevit-tiny_mix_coco.py 8 --amp
# Start from ImageNet weights: model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE).
# 12 epochs * 117266 images / (8 processes * batch 2) = 87950 iterations.
_base_ = [
    '../_base_/models/atss_pevit-tiny_mix.py', '../_base_/datasets/coco_mix.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]
