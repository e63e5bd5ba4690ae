# PEViT-tiny on shuffled ImageNet images with a recipe after DeiT's. For 8 GPUs; not trained here.
#   tools/dist_train.sh configs/classification/pevit-tiny_shuffle_imagenet.py 8 --amp
_base_ = './pevit-tiny_plain_imagenet.py'

encryption = dict(name='shuffle', patch_size=16)
train_dataloader = dict(dataset=dict(encryption=encryption))
val_dataloader = dict(dataset=dict(encryption=encryption))
test_dataloader = val_dataloader
