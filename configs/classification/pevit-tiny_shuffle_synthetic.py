# A PEViT of 3 blocks on shuffled synthetic images. Expect top-1 73.2 % (seed 0) after about a
# minute on one core.
#   python tools/train_classifier.py --encrypt shuffle
_base_ = './pevit-tiny_plain_synthetic.py'

encryption = dict(name='shuffle', patch_size=16)
train_dataloader = dict(dataset=dict(encryption=encryption))
val_dataloader = dict(dataset=dict(encryption=encryption))
test_dataloader = val_dataloader
