# The schedule of Ito et al. (IEEE Access 2021): SGD, learning rate times 0.2 after 30, 60 and 80 %.
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=.1, momentum=.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='MultiStepLR', milestones=[60, 120, 160], gamma=.2, by_epoch=True)
]
