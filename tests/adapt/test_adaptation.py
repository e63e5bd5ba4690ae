"""What becomes of the numbers, pipelines and schedules of stock configs."""
from __future__ import annotations

import pytest
from mmengine.config import Config

import mmppvit.adapt
from mmppvit.adapt import CannotAdapt, adapt_config, adapt_stock
from mmppvit.adapt.config_changes import walk_dicts
from mmppvit.adapt.pipeline_steps import is_pipeline, kind_of

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'


def steps(pipeline) -> list[str]:
    return [kind_of(step) for step in pipeline]


def value(cfg, path: str):
    for key in path.split('.'):
        cfg = cfg[int(key)] if key.isdigit() else cfg[key]
    return cfg


@pytest.mark.parametrize(('name', 'path', 'expected'), [
    ('retinanet/retinanet_r50_fpn_1x_coco', 'model.bbox_head.anchor_generator.strides',
     [4, 8, 16, 32, 64]),
    ('retinanet/retinanet_r50_fpn_1x_coco', 'model.neck.scale_factors', (2., 1., .5, .25)),
    ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco', 'model.bbox_head.regress_ranges',
     ((-1, 32), (32, 64), (64, 128), (128, 256), (256, 1e8))),
    ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
     'model.roi_head.bbox_roi_extractor.featmap_strides', [2, 4, 8, 16]),
    ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco', 'model.roi_head.bbox_roi_extractor.finest_scale',
     28),
    ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco', 'model.neck.scale_factors', (4., 2., 1., .5)),
    ('foveabox/fovea_r50_fpn_4xb4-1x_coco', 'model.bbox_head.base_edge_list',
     [8, 16, 32, 64, 128]),
    ('vfnet/vfnet_r50_fpn_1x_coco', 'model.bbox_head.anchor_generator.strides',
     [4, 8, 16, 32, 64]),
    ('yolox/yolox_s_8xb8-300e_coco', 'model.neck.1.in_channels', [128, 128, 128]),
    ('yolact/yolact_r50_1xb8-55e_coco', 'model.bbox_head.anchor_generator.strides',
     [4, 8, 16, 32, 64]),
    ('htc/htc_r50_fpn_1x_coco', 'model.roi_head.semantic_head.seg_scale_factor', .25),
    ('yolof/yolof_r50-c5_8xb8-1x_coco', 'model.bbox_head.bbox_coder.ctr_clamp', 16),
    ('mask2former/mask2former_r50_8xb2-lsj-50e_coco', 'model.panoptic_head.in_channels',
     [768] * 4),
    ('mask2former/mask2former_r50_8xb2-lsj-50e_coco',
     'model.data_preprocessor.batch_augments.0.size', (512, 512)),
    ('deformable_detr/deformable-detr_r50_16xb2-50e_coco', 'model.neck.num_outs', None),
    ('detr/detr_r50_8xb2-150e_coco', 'model.neck.scale_factors', (.5, )),
    ('ssd/ssd300_coco', 'model.bbox_head.anchor_generator.strides', [4, 8, 16, 32, 64, 128]),
    ('ssd/ssd300_coco', 'model.bbox_head.anchor_generator.min_sizes', [10.5, 22.5, 49.5, 76.5,
                                                                     103.5, 130.5]),
])
def test_numbers(name, path, expected):
    cfg = adapt_config(f'mmdet::{name}.py')
    if expected is None:
        assert path.rsplit('.', 1)[1] not in value(cfg, path.rsplit('.', 1)[0])
    else:
        assert value(cfg, path) == expected


@pytest.mark.parametrize('name', [
    'yolox/yolox_s_8xb8-300e_coco', 'rtmdet/rtmdet_tiny_8xb32-300e_coco',
    'albu_example/mask-rcnn_r50_fpn_albu-1x_coco', 'openimages/ssd300_32xb8-36e_openimages',
    'simple_copy_paste/mask-rcnn_r50_fpn_rpn-2conv_4conv1fc_syncbn-all_32xb2-ssj-scp-90k_coco',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco',
    'cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco'])
def test_every_pipeline_that_packs_is_encrypted_once(name):
    cfg = adapt_config(f'mmdet::{name}.py')
    found = [node[key] for _, node in walk_dicts(cfg.to_dict(), skip=('model', ))
             for key in node if is_pipeline(node[key]) and kind_of(node) != 'TestTimeAug']
    assert found
    for pipeline in found:
        text = str(pipeline)
        assert text.count("'MixSubPatches'") == text.count("'PackDetInputs'"), pipeline


@pytest.mark.parametrize(('loader', 'before', 'after'), [
    ('train', 'RandomFlip', 'PackDetInputs'), ('val', 'Resize', 'LoadAnnotations')])
def test_mixing_comes_after_the_plain_frame(loader, before, after):
    """Annotations of tests are loaded after it: they are scored in the plain frame."""
    names = steps(adapt_config(RETINANET)[f'{loader}_dataloader'].dataset.pipeline)
    place = names.index('MixSubPatches')
    assert (names[place - 1], names[place + 1]) == (before, after)


def test_multi_image_steps_get_plain_images():
    cfg = adapt_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py')
    outer = cfg.train_dataloader.dataset
    assert 'MixSubPatches' not in steps(outer.dataset.pipeline)
    assert steps(outer.pipeline)[-3:] == ['RandomChoiceResize', 'MixSubPatches', 'PackDetInputs']


def test_batches_are_not_resized_after_mixing():
    adapted = adapt_stock('mmdet::yolox/yolox_s_8xb8-300e_coco.py')
    assert adapted.config.model.data_preprocessor.batch_augments is None
    assert any('BatchSyncRandomResize' in note for note in adapted.notes)
    scales = adapted.config.train_pipeline[8].scales
    assert (scales[0], scales[-1], len(scales)) == ((480, 480), (800, 800), 11)
    assert 'RandomChoiceResize' not in steps(adapted.config.test_pipeline)


def test_last_epochs_of_rtmdet_are_encrypted():
    cfg = adapt_config('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py')
    switch = next(hook for hook in cfg.custom_hooks if hook.type == 'PipelineSwitchHook')
    assert 'MixSubPatches' in steps(switch.switch_pipeline)


def test_tta_mixes_in_every_combination():
    cfg = adapt_config(RETINANET.replace('r50_fpn_1x', 'r50_fpn_ms-640-800-3x'))
    groups = cfg.tta_pipeline[1].transforms if 'tta_pipeline' in cfg else None
    if groups is None:
        cfg = adapt_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py')
        groups = cfg.tta_pipeline[1].transforms
    kinds = [steps(group) for group in groups]
    assert kinds.index(['MixSubPatches']) == len(kinds) - 3
    assert kinds[-2:] == [['LoadAnnotations'], ['PackDetInputs']]


def test_schedule_suits_a_transformer():
    cfg = adapt_config('mmdet::yolox/yolox_s_8xb8-300e_coco.py', pretrained='vit.pth')
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.optim_wrapper.paramwise_cfg.decay_rate == .7
    assert cfg.param_scheduler[1].eta_min == pytest.approx(1e-4 * .05)  # was .05 of lr .01
    assert cfg.model.backbone.init_cfg.checkpoint == 'vit.pth'
    detr = adapt_config('mmdet::detr/detr_r50_8xb2-150e_coco.py')
    assert detr.param_scheduler[0].type == 'LinearLR'  # DETR has no warm-up
    assert 'custom_keys' not in detr.optim_wrapper.paramwise_cfg  # 'backbone': lr_mult=.1


def test_keyed_shuffling(tmp_path):
    cfg = adapt_config(RETINANET, scheme='mix+center+shuffle', key_file='owner.key',
                       center_strength=.5)
    assert (cfg.model.type, cfg.model.detector) == ('KeyedOrder', 'RetinaNet')
    names = steps(cfg.train_pipeline)
    assert names[-4:] == ['MixSubPatches', 'CenterPatches', 'ShufflePatches', 'PackSealedInputs']
    assert cfg.encrypt[1].strength == .5


def test_a_gain_is_one_step_with_mixing():
    cfg = adapt_config(RETINANET, scheme='mix+center', gain=4)
    assert steps(cfg.train_pipeline)[-2:] == ['MixCenterPatches', 'PackDetInputs']
    assert cfg.encrypt == [dict(type='MixCenterPatches', strength=1., gain=4., patch_size=16,
                                grid=2)]
    with pytest.raises(CannotAdapt, match='adapt the stock one'):
        adapt_config(cfg)
    with pytest.raises(ValueError, match='scheme mix does not center: gain must be 1'):
        adapt_config(RETINANET, gain=4)


def test_grid_4_and_patch_32():
    cfg = adapt_config(RETINANET, patch_size=32, grid=4, arch='base')
    assert cfg.model.bbox_head.anchor_generator.strides == [2, 4, 8, 16, 32]
    assert cfg.model.neck.scale_factors == (4., 2., 1., .5)
    assert cfg.model.neck.in_channels == 768


def test_points_are_those_of_a_new_backbone():
    cfg = adapt_config(RETINANET, patch_size=8, num_points=64)
    assert cfg.model.backbone.num_points == 64
    assert cfg.model.neck.scale_factors == (1., .5, .25, .125)
    for other in (dict(keep_backbone=True), dict(pretrained='vit.pth')):
        with pytest.raises(CannotAdapt, match='attention through points'):
            adapt_config(RETINANET, num_points=64, **other)


def test_kept_backbone_keeps_strides():
    cfg = adapt_config(RETINANET, keep_backbone=True)
    assert cfg.model.backbone.type == 'ResNet'
    assert cfg.model.bbox_head.anchor_generator.strides == [8, 16, 32, 64, 128]
    assert 'MixSubPatches' in steps(cfg.train_pipeline)
    assert cfg.optim_wrapper.optimizer.type == 'SGD'


@pytest.mark.parametrize(('name', 'options', 'reason'), [
    (RETINANET, dict(scheme='mix+shuffle'), 'needs a key'),
    (RETINANET, dict(scheme='mix', grid=1), 'mixes nothing'),
    (RETINANET, dict(scheme='blur'), 'is none of mix, '),
    (RETINANET, dict(scheme='plain', gain=4), 'leave grid, center_strength and gain out'),
    (RETINANET, dict(scheme='mix+shuffle', key_file='k', keep_backbone=True), 'neighbors'),
    ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', dict(grid=8),
     'is 0.5 in an image mixed with grid 8'),
    ('mmdet::qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base.py', {}, 'videos'),
    ('mmdet::ld/ld_r50-gflv1-r101_fpn_1x_coco.py', {}, 'teacher'),
    ('mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py', {}, 'keep_backbone'),
    ('mmdet::detectors/detectors_htc-r50_1x_coco.py', {}, 'feeds the pyramid back'),
    ('mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', {}, 'proposals'),
])
def test_refusals_say_why(name, options, reason):
    with pytest.raises(CannotAdapt, match=reason):
        adapt_config(name, **options)


def test_a_config_is_adapted_once():
    with pytest.raises(CannotAdapt, match='already'):
        adapt_config(adapt_config(RETINANET))


def test_missing_configs_are_named():
    with pytest.raises(FileNotFoundError, match=r'no config nowhere\.py'):
        adapt_config('mmdet::nowhere.py')


def test_the_package_is_the_function_and_changes_nothing():
    stock = mmppvit.adapt.adaptation.load_stock(RETINANET)
    before = stock.pretty_text
    cfg = mmppvit.adapt(stock, arch='tiny')
    assert isinstance(cfg, Config)
    assert cfg.model.backbone.arch == 'tiny'
    assert stock.pretty_text == before
