# The same, and the patches are fully centered.
#   MMPPVIT_KEY=owner.key python tools/train.py \
#       configs/bccd/atss_pevit-tiny_sealed-mix-center-shuffle_bccd.py
# docs/sealed-data.md has the commands that seal, and what was measured.
_base_ = './atss_pevit-tiny_sealed-mix-shuffle_bccd.py'

# Of fully centered images: little is left of their contrast.
model = dict(data_preprocessor=dict(mean=[128., 128., 128.], std=[3., 4.7, 3.6]))

data_root = '{{$MMPPVIT_SEALED:data/sealed}}/bccd_mix+center+shuffle/'

train_dataloader = dict(
    dataset=dict(datasets=[
        dict(part, data_root=data_root) for part in _base_.train_dataloader.dataset.datasets
    ]))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'test/annotations.json')
test_evaluator = val_evaluator
