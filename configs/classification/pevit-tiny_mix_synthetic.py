# A PEViT of 3 blocks on mixed synthetic images. Expect top-1 68.2 % (seed 0) after about a
# minute on one core.
#   python tools/train_classifier.py --encrypt mix
_base_ = './pevit-tiny_plain_synthetic.py'

encryption = dict(name='mix', patch_size=16, grid=2)
train_dataloader = dict(dataset=dict(encryption=encryption))
val_dataloader = dict(dataset=dict(encryption=encryption))
test_dataloader = val_dataloader

model = dict(name='pevit_tiny_patch16_224_mix', kwargs=dict(grid=2))
