# PEYOLOS-tiny on mixed COCO images, P16, g2, shorter sides of 480 to 800. Not trained here.
#   python tools/convert_checkpoint.py YOLOS.pth peyolos-tiny.pth \
#       --source yolos --target peyolos --nonlinear-embed
#   tools/dist_train.sh configs/peyolos/peyolos-tiny_mix_coco.py 8 --amp --cfg-options \
#       load_from=peyolos-tiny.pth
# The paper starts from a YOLOS trained on plain images. Of its embedding the kernel is taken along
# (summed over the sub-patches), the 1x1 convolution is new.
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/coco_mix_multiscale.py',
    '../_base_/schedules/adamw_150e_peyolos.py', '../_base_/default_runtime.py'
]

train_dataloader = dict(batch_size=2)  # * 8 GPUs
