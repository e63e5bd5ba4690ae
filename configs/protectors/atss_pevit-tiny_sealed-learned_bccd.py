# The untouched detector of ../bccd/atss_pevit-tiny_plain_bccd.py on BCCD as it was protected at the
# scale that it was trained at, with the protector of atss_pevit-tiny_light_bccd.py:
#   python tools/encrypt_dataset.py --ann $MMPPVIT_DATA/bccd/annotations/instances_test.json \
#       --img-dir $MMPPVIT_DATA/bccd/images --out data/sealed/bccd_learned/test --scale 512x384 \
#       --scheme learned --protector work_dirs/atss_pevit-tiny_light_bccd/protector.safetensors
#   python tools/test.py configs/protectors/atss_pevit-tiny_sealed-learned_bccd.py \
#       work_dirs/atss_pevit-tiny_plain_bccd/epoch_12.pth
# It gave 0.578, as training had said (docs/learned-protection.md). The model is that of the base,
# and only the test data are others.
_base_ = '../bccd/atss_pevit-tiny_plain_bccd.py'

data_root = '{{$MMPPVIT_SEALED:data/sealed}}/bccd_learned/'
test_pipeline = [
    dict(type='LoadSealedImage'),
    dict(type='LoadAnnotations', with_bbox=True),  # results are scored in the plain frame
    dict(
        type='PackSealedInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SealedCocoDataset',
        data_root=data_root,
        sealed='test',
        metainfo=_base_.metainfo,
        test_mode=True,
        pipeline=test_pipeline))
test_evaluator = dict(ann_file=data_root + 'test/annotations.json')
