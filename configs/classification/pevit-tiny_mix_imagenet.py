# PEViT-tiny on mixed ImageNet images with a recipe after DeiT's. For 8 GPUs; not trained here.
#   tools/dist_train.sh configs/classification/pevit-tiny_mix_imagenet.py 8 --amp
_base_ = './pevit-tiny_plain_imagenet.py'

encryption = dict(name='mix', patch_size=16, grid=2)
train_dataloader = dict(dataset=dict(encryption=encryption))
val_dataloader = dict(dataset=dict(encryption=encryption))
test_dataloader = val_dataloader

# Takes mixed images: 112x112 from 224x224.
model = dict(name='pevit_tiny_patch16_224_mix', kwargs=dict(grid=2))
