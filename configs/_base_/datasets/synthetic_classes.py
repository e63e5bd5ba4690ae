# Synthetic images of 6 classes by color, 96x96, as write_synthetic_classes makes them.
_base_ = './class_folders.py'

data_root = '{{$MMPPVIT_DATA:data}}/synthetic_classes/'
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        root=data_root + 'train',
        transform=dict(input_size=96, scale=(.7, 1.), auto_augment=None)))
val_dataloader = dict(
    batch_size=32,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(root=data_root + 'val', transform=dict(input_size=96, crop_pct=1.)))
test_dataloader = val_dataloader
