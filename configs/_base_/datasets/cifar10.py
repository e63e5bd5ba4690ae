# CIFAR-10, binary version, augmented as by Ito et al.: padded crops and flips.
data_root = '{{$MMPPVIT_DATA:data}}/cifar-10-batches-bin'

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CifarBinary', root=data_root, split='train', training=True))
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CifarBinary', root=data_root, split='val'))
test_dataloader = val_dataloader
