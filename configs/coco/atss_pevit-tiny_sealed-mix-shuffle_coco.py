# The same with shuffled patches, for the holder of the key: the order is restored between backbone
# and neck. Not trained here.
#   MMPPVIT_KEY=owner.key tools/dist_train.sh \
#       configs/coco/atss_pevit-tiny_sealed-mix-shuffle_coco.py 8 --amp
_base_ = [
    '../_base_/models/atss_pevit-tiny_mix.py', '../_base_/datasets/coco_sealed_shuffle.py',
    '../_base_/schedules/adamw_1x.py', '../_base_/default_runtime.py'
]

model = dict(type='KeyedOrder', detector='ATSS')
