# The same, and the patches are centered. Not trained here.
#   MMPPVIT_KEY=owner.key tools/dist_train.sh \
#       configs/coco/atss_pevit-tiny_sealed-mix-center-shuffle_coco.py 8 --amp
_base_ = './atss_pevit-tiny_sealed-mix-shuffle_coco.py'

data_root = '{{$MMPPVIT_SEALED:data/sealed}}/coco_mix+center+shuffle/'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val2017/annotations.json')
test_evaluator = val_evaluator
