# Synthetic images of 6 classes by color, 32x32, plain.
_base_ = './synthetic_classes.py'

data_root = '{{$MMPPVIT_DATA:data}}/synthetic_classes_32/'
encryption = dict(name='plain', patch_size=1)
train_dataloader = dict(
    dataset=dict(
        root=data_root + 'train',
        encryption=encryption,
        transform=dict(input_size=32, interpolation='bilinear', scale=(.6, 1.))))
val_dataloader = dict(
    dataset=dict(
        root=data_root + 'val',
        encryption=encryption,
        transform=dict(input_size=32, interpolation='bilinear')))
test_dataloader = val_dataloader
