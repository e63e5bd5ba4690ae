# Facemask: photographs of people, about 400 pixels wide, with, without or with a wrongly worn mask.
# Trained on 677 images, scored on 171; the median box has a side of 19 pixels.
_base_ = './deeppcb.py'

data_root = '{{$MMPPVIT_DATA:data}}/facemask/'
metainfo = dict(classes=('with_mask', 'without_mask', 'mask_weared_incorrect'))

flip = dict(type='RandomFlip', prob=.5)
train_pipeline = [*_base_.train_pipeline[:3], flip, _base_.train_pipeline[4]]

train_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),  # wide and tall images: less padding
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_test.json')
test_evaluator = val_evaluator
