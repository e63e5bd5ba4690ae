# A PEViT of 3 blocks on plain synthetic images: 6 classes, 1200 images to train on and 400 to test,
# 96x96. Expect top-1 73.8 % (seed 0) after about a minute on one core.
#   python tools/train_classifier.py
# The tool writes the images first. tools/train.py reads them from data/synthetic_classes/:
#   python -c "from mmppvit.datasets.synthetic_classes import write_synthetic_classes as write; \
#       write('data/synthetic_classes', 1200, 400, 96)"
#   python tools/train.py configs/classification/pevit-tiny_plain_synthetic.py
_base_ = [
    '../_base_/datasets/synthetic_classes.py', '../_base_/schedules/adamw_10e_synthetic.py',
    '../_base_/classification_runtime.py'
]

model = dict(
    type='TimmClassifier',
    name='pevit_tiny_patch16_224',
    kwargs=dict(num_classes=6, patch_size=16, grid=1, depth=3),
    label_smoothing=.1)
