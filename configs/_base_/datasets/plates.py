# License plates from a car's camera, 1280x720, one class. Trained on 212 images, scored on 55 of
# other drives, at about a third of the size: the median box has a side of 18 pixels.
_base_ = './deeppcb.py'

data_root = '{{$MMPPVIT_DATA:data}}/plates_ro/'
metainfo = dict(classes=('license-plate', ))
img_scale = (448, 256)

flip = dict(type='RandomFlip', prob=.5)
train_pipeline = [*_base_.train_pipeline[:3], flip, _base_.train_pipeline[4]]
test_pipeline = [*_base_.test_pipeline]
train_pipeline[2].scale = test_pipeline[1].scale = img_scale

train_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_test.json')
test_evaluator = val_evaluator
