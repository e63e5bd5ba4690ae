_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmppvit'], allow_failed_imports=False)
custom_hooks = [
    dict(type='NumClassCheckHook'),
    dict(type='CheckedLoadHook'),
    dict(type='SealedDataHook'),
    dict(type='StrideGuardHook')
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2, save_best='auto'))
visualizer = dict(type='SealedDetLocalVisualizer')
randomness = dict(seed=0)

# Your own data in COCO's layout: set these two, in a config or with --cfg-options, and
# tools/train.py, test.py and browse_dataset.py put them into every data set, evaluator and head.
custom_data_root = None
custom_classes = None
