_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_sealed_shuffle.py',
    '../_base_/schedules/adamw_20e_bccd.py', '../_base_/default_runtime.py'
]

model = dict(type='KeyedOrder', detector='ATSS')
