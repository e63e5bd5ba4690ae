# The schedule of Ito et al. for 1200 images: 16 epochs, 20 iterations of warmup.
_base_ = './sgd_200e_cifar.py'

train_cfg = dict(max_epochs=16)
optim_wrapper = dict(optimizer=dict(lr=.01))
param_scheduler = [
    dict(type='LinearLR', start_factor=.05, begin=0, end=20, by_epoch=False),
    dict(type='MultiStepLR', milestones=[5, 10, 13], gamma=.2, by_epoch=True)
]
