# atss_pevit-tiny_mix_bccd.py from sealed data sets: the plain pictures are not there.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_sealed.py',
    '../_base_/schedules/adamw_20e_bccd.py', '../_base_/default_runtime.py'
]
