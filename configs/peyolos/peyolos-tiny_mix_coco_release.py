# PEYOLOS-tiny by the released recipe: see peyolos-small_mix_coco_release.py. Images are smaller
# than those of small and base: shorter sides of 256 to 608, longest 1013. The published command
# is for small; the size of the table is that of YOLOS-tiny. Not trained here.
#   python tools/convert_checkpoint.py YOLOS.pth peyolos-tiny.pth --source yolos \
#       --target peyolos --nonlinear-embed --new-embed --init-size 800 1333
#   tools/dist_train.sh configs/peyolos/peyolos-tiny_mix_coco_release.py 8 --cfg-options \
#       load_from=peyolos-tiny.pth
_base_ = './peyolos-small_mix_coco_release.py'

model = dict(
    backbone=dict(arch='tiny', table_size=(800, 1333)), bbox_head=dict(embed_dims=192))

load, annotations, flip, _, mix, pack = _base_.train_pipeline
sides = [(side, 1013) for side in range(256, 609, 16)]
resize = dict(type='RandomChoiceResize', scales=sides, resize_type='ResizeToWholePatches')
train_pipeline = [
    load, annotations, flip,
    dict(type='RandomChoice', transforms=[[resize], [*_base_.crop, resize]]), mix, pack
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
