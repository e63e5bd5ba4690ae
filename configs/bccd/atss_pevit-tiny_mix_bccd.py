# ATSS on mixed images of blood cells, from scratch: PEViT-tiny with 3 blocks, P16, g2, 384x288.
#   python tools/train.py configs/bccd/atss_pevit-tiny_mix_bccd.py
# 9.3 minutes on two CPU cores, evaluations included. Expect mAP 0.545, AP50 0.872 on the 72 test
# images after the last epoch (seed 0, a point more or less; the plain control has 0.567, 0.888).
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/schedules/adamw_20e_bccd.py', '../_base_/default_runtime.py'
]
