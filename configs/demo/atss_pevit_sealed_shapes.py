# ATSS on a small position-free ViT, from scratch on sealed synthetic shapes: mixed (P16, g2),
# centered and shuffled under a key. For a look at the whole way, not for a benchmark.
#   mmppvit demo
# makes the key and the sealed data, and chooses the number of epochs by the speed of the machine.
_base_ = './atss_pevit_mix_shapes.py'

data_root = '{{$MMPPVIT_SEALED:work_dirs/demo/sealed}}/'
key_file = '{{$MMPPVIT_KEY:owner.key}}'

# Augmentation needs the layout; the backbone then meets an image in a new order
# in every epoch. Tested images keep the order that they were sealed in.
train_pipeline = [
    dict(type='LoadSealedImage', key_file=key_file),
    dict(type='LoadSealedAnnotations', with_bbox=True),
    dict(type='UnshufflePatches'),
    dict(type='RandomFlip', prob=.5),
    dict(type='ShufflePatches', fresh=True),
    dict(type='PackSealedInputs')
]
test_pipeline = [
    dict(type='LoadSealedImage', key_file=key_file),
    dict(type='LoadAnnotations', with_bbox=True),  # results are scored in the plain frame
    dict(
        type='PackSealedInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]

split = dict(
    _delete_=True, type='SealedCocoDataset', data_root=data_root, metainfo=_base_.metainfo)
train_dataloader = dict(
    dataset=dict(
        split,
        sealed='train2017',
        filter_cfg=dict(filter_empty_gt=True, min_size=8),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(split, sealed='val2017', test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val2017/annotations.json')
test_evaluator = val_evaluator

# Centered images are gray but for their texture: `mmppvit demo` puts in what it measures.
model = dict(
    type='KeyedOrder',
    detector='ATSS',
    data_preprocessor=dict(mean=[128., 128., 128.], std=[20., 20., 20.]))
