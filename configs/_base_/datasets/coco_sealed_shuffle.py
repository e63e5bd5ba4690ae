_base_ = './coco_sealed.py'

# The key that the patches were shuffled under; only its holder can train and evaluate.
# MMPPVIT_KEY names its file, MMPPVIT_KEY_COMMAND a command that prints it; default: owner.key.
key_file = '{{$MMPPVIT_KEY:owner.key}}'
data_root = '{{$MMPPVIT_SEALED:data/sealed}}/coco_mix+shuffle/'

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
    *_base_.test_pipeline[1:]
]

train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'val2017/annotations.json')
test_evaluator = val_evaluator
