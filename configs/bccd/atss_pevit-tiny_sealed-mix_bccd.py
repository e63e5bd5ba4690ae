# atss_pevit-tiny_mix_bccd.py from sealed data sets: the plain images are not there.
#   python tools/train.py configs/bccd/atss_pevit-tiny_sealed-mix_bccd.py
# docs/sealed-data.md has the commands that seal. The same mAP as mixing on the
# fly at the scale that was sealed.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_sealed.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]
