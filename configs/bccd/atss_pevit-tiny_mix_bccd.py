# ATSS on mixed images of blood cells, from scratch: PEViT of 6 blocks, P16, g2, 320x240.
#   python tools/train.py configs/bccd/atss_pevit-tiny_mix_bccd.py
# @TODO@
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/schedules/adamw_30e_bccd.py', '../_base_/default_runtime.py'
]
