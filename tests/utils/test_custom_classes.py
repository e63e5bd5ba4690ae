"""``custom_classes`` counts for heads that tell those classes apart, and for no other part."""
from __future__ import annotations

from mmengine.config import Config

from mmppvit.utils.config_files import apply_custom_dataset


def test_only_heads_of_these_classes_change():
    cfg = Config(dict(
        custom_classes=('a', 'b'),
        train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(type='X'))),
        model=dict(
            backbone=dict(num_classes=1000), rpn_head=dict(num_classes=1),
            semantic_head=dict(num_classes=53), bbox_head=[dict(num_classes=80)] * 2,
            roi_head=dict(bbox_head=dict(num_classes=80), mask_head=dict(num_classes=80)))))
    model = apply_custom_dataset(cfg).model
    assert cfg.train_dataloader.dataset.dataset.metainfo == dict(classes=('a', 'b'))
    assert (model.backbone.num_classes, model.rpn_head.num_classes,
            model.semantic_head.num_classes) == (1000, 1, 53)
    assert [head.num_classes for head in (*model.bbox_head, *model.roi_head.values())] == [2] * 4
