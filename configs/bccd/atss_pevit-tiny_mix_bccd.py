# ATSS on mixed images of blood cells, from scratch: PEViT-tiny with 3 blocks, P16, g2, 512x384.
#   python tools/train.py configs/bccd/atss_pevit-tiny_mix_bccd.py --amp
# 5.6 minutes on two CPU cores with bfloat16, evaluations included. Expect mAP 0.569, AP50 0.890 on
# the 72 test images after the last epoch, seed 0, a point more or less
# (the plain control: 0.583, 0.898).
_base_ = [
    '../_base_/models/atss_pevit-bccd_mix.py', '../_base_/datasets/bccd_mix.py',
    '../_base_/schedules/adamw_12e_bccd.py', '../_base_/default_runtime.py'
]
