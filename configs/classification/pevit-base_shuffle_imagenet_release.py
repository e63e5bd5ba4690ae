# PEViT-base on shuffled ImageNet images by the released recipe, setting by setting:
# docs/reproduction.md has the table. 8 GPUs with 192 images each, mixed precision. Not trained
# here.
#   tools/dist_train.sh configs/classification/pevit-base_shuffle_imagenet_release.py 8 --amp
# Patches are shuffled in the model, after mixup, which gives every image of a mix an order of its
# own at no price: plain images reach the process that trains.
_base_ = [
    '../_base_/datasets/class_folders.py', '../_base_/schedules/adamw_300e_pevit_release.py',
    '../_base_/classification_runtime.py'
]

model = dict(
    type='TimmClassifier',
    name='pevit_base_patch16_224',
    kwargs=dict(
        num_classes=1000,
        patch_size=16,
        grid=1,
        drop_path_rate=.1,
        shuffle_tokens=True,
        torch_embed_init=True),
    random_erasing=.25,
    mixup=.8,
    cutmix=1.,
    label_smoothing=.1)

train_dataloader = dict(
    batch_size=192,
    num_workers=10,
    sampler=dict(_delete_=True, type='RepeatedAugmentationSampler'))
val_dataloader = dict(
    batch_size=288, num_workers=10, dataset=dict(transform=dict(crop_pct=.875)))
test_dataloader = val_dataloader
custom_hooks = [
    dict(type='CheckedLoadHook'),
    dict(type='KeptAverageHook', decay=.99996),
    dict(type='ExportClassifierHook')
]
randomness = dict(seed=0, diff_rank_seed=True)
