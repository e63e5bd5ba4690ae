# PEYOLOS-small by the released recipe, setting by setting: docs/reproduction.md has the table.
# float32, 8 GPUs with one image each, 150 epochs. Not trained here.
#   python tools/convert_checkpoint.py YOLOS.pth peyolos-small.pth --source yolos \
#       --target peyolos --nonlinear-embed --new-embed --init-size 512 864 --drop-mid-table
#   tools/dist_train.sh configs/peyolos/peyolos-small_mix_coco_release.py 8 --cfg-options \
#       load_from=peyolos-small.pth
# The published command has no --mid_pe_size, so that YOLOS-small's tables between the blocks are
# left out, and the convolutions of the new embedding start from random weights.
_base_ = [
    '../_base_/models/peyolos-tiny_mix.py', '../_base_/datasets/coco_mix_release.py',
    '../_base_/default_runtime.py', '../_base_/schedules/adamw_150e_peyolos_release.py'
]

model = dict(
    backbone=dict(arch='small', table_size=(512, 864), torch_embed_init=True),
    bbox_head=dict(embed_dims=384))

randomness = dict(seed=42, diff_rank_seed=True)
