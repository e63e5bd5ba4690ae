# Class folders (train/CLASS/*, val/CLASS/*), ImageNet's by default, with DeiT's augmentation.
data_root = '{{$MMPPVIT_DATA:data}}/imagenet/'
encryption = dict(name='plain', patch_size=16)

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='EncryptedImageFolder',
        root=data_root + 'train',
        encryption=encryption,
        training=True,
        # Arguments of timm.data.create_transform; mean is what RandAugment fills with.
        transform=dict(
            input_size=224,
            interpolation='bicubic',
            mean=(.485, .456, .406),
            scale=(.08, 1.),
            hflip=.5,
            auto_augment='rand-m9-mstd0.5-inc1',
            color_jitter=None)))
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='EncryptedImageFolder',
        root=data_root + 'val',
        encryption=encryption,
        transform=dict(input_size=224, interpolation='bicubic', crop_pct=.9)))
test_dataloader = val_dataloader
