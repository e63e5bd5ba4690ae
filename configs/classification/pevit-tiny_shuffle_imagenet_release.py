# PEViT-tiny by the released recipe: see pevit-base_shuffle_imagenet_release.py. The published
# command is for base. Not trained here.
#   tools/dist_train.sh configs/classification/pevit-tiny_shuffle_imagenet_release.py 8 --amp
_base_ = './pevit-base_shuffle_imagenet_release.py'

model = dict(name='pevit_tiny_patch16_224')
