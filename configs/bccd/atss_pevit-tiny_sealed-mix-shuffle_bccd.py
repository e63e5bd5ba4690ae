# The same with patches shuffled under a key, for its holder: the order is restored between backbone
# and neck.
#   MMPPVIT_KEY=owner.key python tools/train.py \
#       configs/bccd/atss_pevit-tiny_sealed-mix-shuffle_bccd.py
# docs/sealed-data.md has the commands that seal, and what was measured.
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_sealed_shuffle.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]

model = dict(type='KeyedOrder', detector='ATSS')
