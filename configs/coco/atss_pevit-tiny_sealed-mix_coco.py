# atss_pevit-tiny_mix_coco.py from sealed data sets: the plain images are not there. Not trained
# here.
#   tools/dist_train.sh configs/coco/atss_pevit-tiny_sealed-mix_coco.py 8 --amp
_base_ = [
    '../_base_/models/atss_pevit-tiny_mix.py', '../_base_/datasets/coco_sealed.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]
