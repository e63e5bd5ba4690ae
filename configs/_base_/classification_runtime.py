# Runtime of every classifier: MMEngine's runner with the hooks that a classifier needs.
# MMDetection's runtime draws boxes, which classifiers do not have.
default_scope = 'mmdet'
custom_imports = dict(imports=['mmppvit'], allow_failed_imports=False)

val_cfg = dict()
test_cfg = dict()
val_evaluator = dict(type='TopAccuracy')
test_evaluator = val_evaluator

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='accuracy/top1',
        rule='greater'))
# The last weights are in classifier.safetensors at the end, under timm's names.
custom_hooks = [dict(type='CheckedLoadHook'), dict(type='ExportClassifierHook')]
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
randomness = dict(seed=0)
load_from = None
resume = False
