"""Configs of trainings: the scheme in every pipeline, the budget, what was measured."""
from __future__ import annotations

import pytest
from mmdet.registry import DATASETS

from mmppvit.adapt.adaptation import load_stock
from mmppvit.adapt.scopes import scope_of
from mmppvit.adapt.support_data import shrink, use_images, write_images
from mmppvit.plan.choices import parse_candidate
from mmppvit.plan.run_config import Budget, make_run_config


@pytest.fixture(scope='module')
def stock(coco_mini, tmp_path_factory):
    """RetinaNet of MMDetection on two images of COCO-mini, at a fifth of the size."""
    folder = tmp_path_factory.mktemp('stock')
    cfg = use_images(shrink(load_stock('mmdet::retinanet/retinanet_r50_fpn_1x_coco.py')),
                     write_images(coco_mini, folder))
    cfg.dump(str(folder / 'stock.py'))
    return folder / 'stock.py'


MIX = dict(type='mmdet.MixSubPatches', patch_size=16)
STEPS = {
    'plain': [dict(MIX, grid=1)],
    'shuffle': [dict(MIX, grid=1)],
    'mix+shuffle:grid=4': [dict(MIX, grid=4)],
    'blur:strength=2': [dict(type='mmdet.GaussianBlurImage', sigma=2.), dict(MIX, grid=1)],
    'downsample': [dict(type='mmdet.DownsampleImage', factor=2, patch_size=16)],
    'mix+center+shuffle:gain=4': [dict(type='mmdet.MixCenterPatches', strength=1., gain=4.,
                                       patch_size=16, grid=2)],
}


@pytest.mark.parametrize('text', STEPS)
def test_every_pipeline_of_a_stock_config(stock, text):
    candidate = parse_candidate(text)
    made = make_run_config(str(stock), candidate, 3, Budget(epochs=2), arch='tiny', statistics=1)
    cfg = made.config
    wanted = [step['type'] for step in STEPS[text]]
    for pipeline in (cfg.train_dataloader.dataset.pipeline, cfg.val_dataloader.dataset.pipeline,
                     cfg.test_dataloader.dataset.pipeline):
        kinds = [step['type'] for step in pipeline]
        first = kinds.index(wanted[0])
        assert [dict(step) for step in pipeline[first:first + len(wanted)]] == STEPS[text]
        assert sum(kind.startswith('mmdet.') for kind in kinds) == len(wanted)
    assert cfg.model.backbone.grid == candidate.grid
    assert cfg.model.bbox_head.anchor_generator.strides[0] == 8 / candidate.grid
    assert cfg.randomness == dict(seed=3)
    assert made.epochs == cfg.train_cfg.max_epochs == cfg.train_cfg.val_interval == 2
    with scope_of(cfg):
        image = DATASETS.build(cfg.train_dataloader.dataset)[0]['inputs']
    side = 16 // candidate.grid
    assert image.shape[1] % side == image.shape[2] % side == 0


def test_length_and_statistics(small_config):
    cfg = make_run_config(str(small_config), parse_candidate('mix+center'), 0, Budget(),
                          statistics=6).config
    assert cfg.train_cfg.max_epochs == 3, 'that of the config'
    assert max(abs(value - 128) for value in cfg.model.data_preprocessor.mean) < 1
    assert max(cfg.model.data_preprocessor.std) < 60
    assert 'save_best' not in cfg.default_hooks.checkpoint
    decay, = cfg.param_scheduler  # nine iterations are too few to warm up
    assert (decay.type, decay.end) == ('CosineAnnealingLR', 3)


@pytest.mark.parametrize(('budget', 'images', 'divided'), [
    (Budget(epochs=5), 100, (5, 100)),
    (Budget(images_seen=500), 100, (5, 100)),
    (Budget(images_seen=549), 100, (5, 100)),
    (Budget(images_seen=40), 100, (1, 40)),
    (Budget(images_seen=100, parts=3), 100, (3, 33)),
    (Budget(images_seen=300, parts=3), 100, (3, 100)),
    (Budget(images_seen=1, parts=3), 100, (3, 1)),
])
def test_budgets(budget, images, divided):
    assert budget.divide(images) == divided
