# PEViT-tiny on plain ImageNet images with a recipe after DeiT's. For 8 GPUs; not trained here.
#   tools/dist_train.sh configs/classification/pevit-tiny_plain_imagenet.py 8 --amp
# For other class folders, tools/train_classifier.py --data FOLDER sets paths and classes.
_base_ = [
    '../_base_/datasets/class_folders.py', '../_base_/schedules/adamw_300e_deit.py',
    '../_base_/classification_runtime.py'
]

model = dict(
    type='TimmClassifier',
    name='pevit_tiny_patch16_224',
    kwargs=dict(num_classes=1000, patch_size=16, grid=1, drop_path_rate=.1),
    mixup=.8,
    cutmix=1.,
    label_smoothing=.1)
