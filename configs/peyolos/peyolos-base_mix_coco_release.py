# PEYOLOS-base by the released recipe: see peyolos-small_mix_coco_release.py. The published
# command is for small; the size of the table is that of YOLOS-base. Not trained here.
#   python tools/convert_checkpoint.py YOLOS.pth peyolos-base.pth --source yolos \
#       --target peyolos --nonlinear-embed --new-embed --init-size 800 1344 --drop-mid-table
#   tools/dist_train.sh configs/peyolos/peyolos-base_mix_coco_release.py 8 --cfg-options \
#       load_from=peyolos-base.pth
_base_ = './peyolos-small_mix_coco_release.py'

model = dict(
    backbone=dict(arch='base', table_size=(800, 1344)), bbox_head=dict(embed_dims=768))
