"""The ``_release`` configs of PEYOLOS against the released recipe, written out.

``MMPPVIT_FULL_SIZE=1`` runs the losses at the sizes of the configs: minutes instead of seconds.
"""
from __future__ import annotations

import json
import os
from functools import partial

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
from mmcv.transforms import RandomChoice, RandomChoiceResize
from mmdet.datasets.transforms import RandomCrop, RandomFlip
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from PIL import Image

from tests.configs import peyolos_release as release
from tests.models.detectors.test_peyolos import renamed
from tests.models.released_yolos import ReleasedYOLOS

FULL = bool(os.environ.get('MMPPVIT_FULL_SIZE'))
SIDES = {'tiny': list(range(256, 609, 16)), 'small': list(range(480, 801, 16))}
LONGEST = {'tiny': 1013, 'small': 1333}
ARCHS = dict(tiny=(192, 3), small=(384, 6))
SMALL_ARCH = dict(embed_dims=24, num_layers=2, num_heads=2)
ITERATIONS = 20


@pytest.fixture(params=['tiny', 'small', 'base'])
def size(request) -> str:
    return request.param


def _config(configs, size: str, tiny: bool = True) -> Config:
    cfg = Config.fromfile(str(configs / f'peyolos/peyolos-{size}_mix_coco_release.py'))
    if tiny:
        cfg.model.backbone.update(arch=dict(SMALL_ARCH))
        cfg.model.bbox_head.embed_dims = SMALL_ARCH['embed_dims']
    return cfg


def _build(cfg: Config) -> torch.nn.Module:
    return MODELS.build(dict(cfg.model, _scope_='mmdet'))


def _optimizer(cfg: Config, model: torch.nn.Module):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return build_optim_wrapper(model, cfg.optim_wrapper)


def _released_name(name: str) -> str:
    name = name.replace('patch_embed.proj.', 'patch_embed.proj_siat.')
    name = name.replace('patch_embed.mixer.1.', 'patch_embed.proj_siat_embed.')
    return name.removeprefix('bbox_head.')


def _groups(model, optimizer) -> dict[str, dict]:
    by_param = {id(param): group for group in optimizer.param_groups for param in group['params']}
    return {name: by_param[id(param)] for name, param in model.named_parameters()}


@pytest.mark.parametrize('mid_table', [None, (64, 64)])
def test_groups_and_the_rate_of_every_epoch(configs, size, mid_table):
    cfg = _config(configs, size)
    cfg.model.backbone.mid_table_size = mid_table
    model = _build(cfg)
    wrapper = _optimizer(cfg, model)
    groups = _groups(model, wrapper.optimizer)
    assert ('backbone.mid_pos_embed' in groups) == bool(mid_table)
    scheduler, = [PARAM_SCHEDULERS.build(dict(step, optimizer=wrapper), default_args={})
                  for step in cfg.param_scheduler]
    for epoch in range(cfg.train_cfg.max_epochs):
        for name, param in model.named_parameters():
            lr, decay = release.settings_of(_released_name(name), param.ndim)
            assert groups[name]['weight_decay'] == decay, name
            assert groups[name]['lr'] == pytest.approx(release.epoch_lr(lr, epoch), rel=1e-12)
        scheduler.step()
    first, = {group['betas'] + (group['eps'], ) for group in wrapper.optimizer.param_groups}
    assert first == (.9, .999, 1e-8)


def test_settings(configs, size):
    cfg = _config(configs, size, tiny=False)
    assert cfg.train_cfg.max_epochs == 150
    assert cfg.train_cfg.val_interval == 1
    loader = cfg.train_dataloader
    assert (loader.batch_size, loader.drop_last, loader.batch_sampler) == (1, True, None)
    assert loader.sampler.shuffle
    assert loader.dataset.filter_cfg is None
    assert cfg.val_dataloader.batch_size == 1
    assert cfg.optim_wrapper.type == 'OptimWrapper'  # float32
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=.1)
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=8)
    assert cfg.randomness == dict(seed=42, diff_rank_seed=True)
    backbone, head = cfg.model.backbone, cfg.model.bbox_head
    tables = dict(tiny=(800, 1333), small=(512, 864), base=(800, 1344))
    assert tuple(backbone.table_size) == tables[size]
    assert 'mid_table_size' not in backbone
    assert (backbone.arch, head.embed_dims) == (size, dict(tiny=192, small=384, base=768)[size])
    assert backbone.num_det_tokens == 100
    assert 'drop_path_rate' not in backbone
    weights = head.loss_cls.loss_weight, head.loss_bbox.loss_weight, head.loss_iou.loss_weight
    assert weights == (1, 5, 2)
    assert head.no_object_weight == .1


def test_the_new_embedding_starts_as_convolutions_of_torch_do(configs):
    cfg = _config(configs, 'small')
    torch.manual_seed(0)
    embed = _build(cfg).backbone.patch_embed
    for conv in (embed.proj, embed.mixer[1]):
        bound = conv.weight[0].numel()**-.5  # uniform in [-bound, bound]
        assert .9 * bound < conv.weight.abs().max() <= bound
        assert 0 < conv.bias.abs().max() <= bound


def _crop_size(limits, shares, size) -> tuple[int, ...]:
    return tuple(release.between(min(side, limits[0]), min(side, limits[1]), share)
                 for side, share in zip(size, shares, strict=True))


def _offset(shares, margin) -> tuple[int, ...]:
    return tuple(release.between(0, side, share)
                 for side, share in zip(margin, shares, strict=True))


def _fix_draws(steps, draws: release.Draws) -> None:
    """Let transforms draw what the reference draws; their own draws are methods."""
    for step in steps:
        if isinstance(step, RandomFlip):
            step._choose_direction = lambda: 'horizontal' if draws.flip else None
        elif isinstance(step, RandomChoice):
            step.random_pipeline_index = lambda: int(draws.crop)
            for branch in step.transforms:
                _fix_draws(branch.transforms, draws)
        elif isinstance(step, RandomChoiceResize):
            share = draws.first if len(step.scales) == 3 else draws.last
            choice = release.pick(step.scales, share)
            step._random_select = lambda choice=choice: (choice, 0)
        elif isinstance(step, RandomCrop):
            step._get_crop_size = partial(_crop_size, step.crop_size, (draws.height, draws.width))
            step._rand_offset = partial(_offset, (draws.top, draws.left))


class _Set:
    """COCO-mini through the training pipeline of a config, and through the reference."""

    def __init__(self, cfg: Config, root, few_sides: int | None = None) -> None:
        self.sides = [side for side, _ in cfg.sides][:few_sides]
        _, self.longest = cfg.sides[0]
        for branch in cfg.train_dataloader.dataset.pipeline[3].transforms:
            branch[-1].scales = branch[-1].scales[:few_sides]
        self.dataset = DATASETS.build(dict(
            cfg.train_dataloader.dataset, data_root=str(root), _scope_='mmdet'))
        self.coco = json.loads((root / 'annotations/instances_train2017.json').read_text())
        self.root = root

    def reference(self, index: int, draws: release.Draws):
        info = self.dataset.get_data_info(index)
        image, = [one for one in self.coco['images'] if one['id'] == info['img_id']]
        img = Image.open(self.root / 'train2017' / image['file_name']).convert('RGB')
        boxes, labels = release.read_boxes(self.coco, image)
        return release.augment(img, boxes, labels, draws, self.sides, self.longest)


@pytest.mark.parametrize('name', ['tiny', 'small'])
def test_images_and_boxes_of_fixed_draws(configs, coco_mini, name):
    cfg = _config(configs, name)
    assert [side for side, _ in cfg.sides] == SIDES[name]
    assert {longest for _, longest in cfg.sides} == {LONGEST[name]}
    data = _Set(cfg, coco_mini)
    assert len(data.dataset) == len(data.coco['images'])  # those without objects, too
    boxes_seen = 0
    for seed in range(16):
        draws = release.Draws.of(seed)
        _fix_draws(data.dataset.pipeline.transforms, draws)
        got = data.dataset[5 * seed % len(data.dataset)]
        img, boxes, labels = data.reference(5 * seed % len(data.dataset), draws)
        mixed = release.mix_like(np.asarray(img), rounded=True)
        objects = got['data_samples'].gt_instances
        want = mixed.reshape(img.height // 16, 16, img.width // 16, 16, 3)[:, :8, :, :8]
        want = want.reshape(img.height // 2, img.width // 2, 3)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_array_equal(got['inputs'].numpy(), want)
        assert objects.labels.tolist() == labels
        np.testing.assert_allclose(objects.bboxes.tensor.numpy(), boxes / 2, atol=1e-3)
        boxes_seen += len(boxes)
    assert boxes_seen > 50


def test_evaluated_images(configs, coco_mini):
    cfg = _config(configs, 'tiny')  # of all sizes of model: 800, at most 1333
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, data_root=str(coco_mini),
                                  _scope_='mmdet'))
    for index in range(3):
        got = dataset[index]
        img = Image.open(got['data_samples'].img_path).convert('RGB')
        want, _ = release.resize(img, np.zeros((0, 4)), 800, 1333)
        assert got['data_samples'].img_shape == (want.height // 2, want.width // 2)
        scale = got['data_samples'].scale_factor  # back to the plain frame, each axis by its own
        assert scale == pytest.approx((want.width / 2 / img.width, want.height / 2 / img.height))


def _released(cfg: Config, name: str) -> ReleasedYOLOS:
    dims, heads = ARCHS[name] if FULL else (SMALL_ARCH['embed_dims'], SMALL_ARCH['num_heads'])
    return ReleasedYOLOS(dims=dims, layers=12 if FULL else 2, heads=heads, queries=100, classes=80,
                         table=tuple(cfg.model.backbone.table_size), mixed=True)


@pytest.mark.parametrize('name', ['tiny', 'small'])
def test_the_first_losses(configs, coco_mini, name):
    """Both train from the same weights on the same draws; losses drift only by rounding."""
    cfg = _config(configs, name, tiny=not FULL)
    data = _Set(cfg, coco_mini, None if FULL else 1)
    released = _released(cfg, name)
    state = {key: .3 * value for key, value in released.state_dict().items()}
    model = _build(cfg)
    start = {key: value.clone() for key, value in renamed(state).items()}
    model.load_state_dict(start, strict=True)
    wrapper = _optimizer(cfg, model.train())
    state = {key: value.requires_grad_() for key, value in state.items()}
    adamw, differences, empty = release.AdamW(state), [], 0
    for seed in range(ITERATIONS):
        draws = release.Draws.of(seed)
        _fix_draws(data.dataset.pipeline.transforms, draws)
        index = 3 * seed
        item = data.dataset[index]
        img, boxes, labels = data.reference(index, draws)
        if seed % 8 == 3:  # as an image, or a crop, that shows no object
            boxes, labels = boxes[:0], []
            item['data_samples'].gt_instances = item['data_samples'].gt_instances[:0]
        logged = model.train_step(pseudo_collate([item]), wrapper)
        x = release.to_tensor(release.mix_like(np.asarray(img), rounded=True))
        sizes = np.array([img.width, img.height] * 2)
        targets = torch.from_numpy(np.concatenate(
            [(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / sizes).float()
        loss = release.detection_loss(*released.forward(state, x), labels, targets)
        loss.backward()
        adamw.step()
        differences.append(abs(float(logged['loss']) / loss.item() - 1))
        empty += not labels
    assert max(differences) < (1e-3 if FULL else 2e-4), differences
    # AdamW divides by the size of a gradient, and thereby enlarges the rounding of small ones.
    own, drift, moved = model.state_dict(), 0., 0.
    for key, value in renamed(state).items():
        drift += float((own[key] - value.detach()).abs().sum())
        moved += float((value.detach() - start[key]).abs().sum())
    assert drift < .01 * moved
    print(f'{name}: largest difference {max(differences):.2g}, '
          f'weights {drift / moved:.2g}, {empty} images without objects')
