# PEYOLOS-base on mixed COCO images, P16, g2, shorter sides of 480 to 800. Not trained here.
#   python tools/convert_checkpoint.py YOLOS.pth peyolos-base.pth \
#       --source yolos --target peyolos --nonlinear-embed --init-size 800 1344
#   tools/dist_train.sh configs/peyolos/peyolos-base_mix_coco.py 8 --amp --cfg-options \
#       load_from=peyolos-base.pth
# The paper starts from a YOLOS trained on plain images. Of its embedding the kernel is taken along
# (summed over the sub-patches), the 1x1 convolution is new.
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/coco_mix_multiscale.py',
    '../_base_/schedules/adamw_150e_peyolos.py', '../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(
        arch='base', table_size=(800, 1344), mid_table_size=(800, 1344), with_cp=True),
    bbox_head=dict(embed_dims=768))

train_dataloader = dict(batch_size=2)  # * 8 GPUs
