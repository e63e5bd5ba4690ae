"""Configs of sealed data sets: what replaces what, and that they train."""
from __future__ import annotations

import json

import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmppvit.adapt import CannotAdapt, adapt_stock
from mmppvit.adapt.pipeline_steps import kind_of
from mmppvit.cli.app import main
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import SealJob, seal_dataset

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
SSD = 'mmdet::ssd/ssd300_coco.py'
YOLOX = 'mmdet::yolox/yolox_s_8xb8-300e_coco.py'
DETR = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
SCHEMES = {'mix': Scheme('mix'), 'mix+center+shuffle': Scheme('mix+center+shuffle', 16, 2, .75)}


@pytest.fixture(scope='module')
def sealed(bccd, tmp_path_factory):
    """``{scheme}/{train,val}`` of a few images of BCCD, ``hidden``, which is 'mix' with sealed
    metadata, and ``owner.key``."""
    root = tmp_path_factory.mktemp('sealed_bccd')
    key = Key.create(root / 'owner.key')
    for split, count in (('train', 4), ('val', 2)):
        data = json.loads((bccd / f'annotations/instances_{split}.json').read_text())
        data['images'] = data['images'][:count]
        ids = {image['id'] for image in data['images']}
        data['annotations'] = [ann for ann in data['annotations'] if ann['image_id'] in ids]
        (root / f'{split}.json').write_text(json.dumps(data))
        for name, scheme in dict(SCHEMES, hidden=SCHEMES['mix']).items():
            seal_dataset(SealJob(bccd / 'images', root / name / split, scheme,
                                 root / f'{split}.json', key=key if name != 'mix' else None,
                                 scales=((160, 128), ), seal_metadata=name == 'hidden'))
    return root


def adapted(sealed, name: str, folder: str, **options):
    key = str(sealed / 'owner.key') if 'shuffle' in folder else None
    return adapt_stock(name, sealed=sealed / folder, key_file=key, **options)


def kinds(pipeline) -> list[str]:
    return [kind_of(step) for step in pipeline]


def test_scheme_and_sizes_come_from_the_folder(sealed):
    cfg = adapted(sealed, RETINANET, 'mix+center+shuffle').config
    assert (cfg.model.type, cfg.model.detector) == ('KeyedOrder', 'RetinaNet')
    assert (cfg.model.backbone.patch_size, cfg.model.backbone.grid) == (16, 2)
    assert cfg.model.bbox_head.num_classes == 3
    train = cfg.train_dataloader.dataset
    assert (train.type, train.sealed) == ('SealedCocoDataset', 'train')
    assert train.metainfo.classes == ('RBC', 'WBC', 'Platelets')
    assert kinds(train.pipeline) == [
        'LoadSealedImage', 'LoadSealedAnnotations', 'UnshufflePatches', 'RandomFlip',
        'ShufflePatches', 'PackSealedInputs']
    assert kinds(cfg.val_dataloader.dataset.pipeline) == [
        'LoadSealedImage', 'LoadAnnotations', 'PackSealedInputs']
    assert cfg.val_evaluator.ann_file == str(sealed / 'mix+center+shuffle/val/annotations.json')
    assert 'encrypt' not in cfg
    assert 'MixSubPatches' not in cfg.pretty_text


def test_every_replacement_is_said(sealed):
    result = adapted(sealed, SSD, 'mix')
    assert kinds(result.config.train_dataloader.dataset.dataset.pipeline) == [
        'LoadSealedImage', 'LoadSealedAnnotations', 'PatchAlignedRandomShift',
        'PatchAlignedRandomCrop', 'RandomFlip', 'RandomAffineColor', 'PackSealedInputs']
    said = '\n'.join(result.notes)
    for name in ('Expand became PatchAlignedRandomShift', 'Resize is left out: rescaling',
                 'MinIoURandomCrop became PatchAlignedRandomCrop',
                 'PhotoMetricDistortion became RandomAffineColor'):
        assert name in said


def test_mosaics_of_images_in_order(sealed):
    result = adapted(sealed, YOLOX, 'mix')
    outer = result.config.train_dataloader.dataset
    assert kinds(outer.pipeline)[:3] == [
        'PatchAlignedMosaic', 'PatchAlignedRandomShift', 'RandomAffineColor']
    assert outer.pipeline[0].img_scale == (40, 32)  # a fourth of 160x120, whole patches of 8
    assert any('MixUp is left out' in note for note in result.notes)
    switch = next(hook for hook in result.config.custom_hooks
                  if hook.type == 'YOLOXModeSwitchHook')
    assert 'PatchAlignedMosaic' in switch.skip_type_keys
    assert 'Mosaic' not in kinds(
        adapted(sealed, YOLOX, 'mix+center+shuffle').config.train_dataloader.dataset.pipeline)


@pytest.mark.parametrize('scheme', SCHEMES)
@pytest.mark.parametrize('name', [
    SSD, YOLOX, DETR, 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    'mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py',
    'mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py'])
def test_every_pipeline_gives_images(name, scheme, sealed):
    """Data sets and the hook refuse steps that do not commute."""
    from mmdet.registry import MODELS

    from mmppvit.adapt.support_runs import ARCH
    from mmppvit.engine.hooks.sealed_data import _check
    init_default_scope('mmdet')
    cfg = adapted(sealed, name, scheme, arch=ARCH).config
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    _check(dataset, MODELS.build(cfg.model))
    for _ in range(3):
        sample = dataset[0]
        assert all(side % 8 == 0 for side in sample['inputs'].shape[1:])
    assert ('patch_order' in sample['data_samples']) == ('shuffle' in scheme)
    tested = DATASETS.build(cfg.val_dataloader.dataset)[0]
    assert tested['inputs'].shape[1:] == (64, 80)


def test_tests_keep_the_sealed_order_and_tta_turns_it(sealed):
    cfg = adapted(sealed, YOLOX, 'mix+center+shuffle').config
    groups = [kinds(group) for group in cfg.tta_pipeline[1].transforms]
    assert groups == [['UnshufflePatches'], ['RandomFlip', 'RandomFlip'], ['ShufflePatches'],
                      ['LoadAnnotations'], ['PackSealedInputs']]


def test_a_set_without_another_to_validate_on(sealed, tmp_path):
    (tmp_path / 'only').symlink_to(sealed / 'mix/train')
    result = adapt_stock(RETINANET, sealed=tmp_path / 'only')
    assert result.config.val_dataloader is result.config.test_evaluator is None
    assert any('no val set' in note for note in result.notes)


@pytest.mark.parametrize(('name', 'options', 'reason'), [
    (RETINANET, dict(scheme='mix+center'), 'scheme is mix.center and the sealed images have mix:'),
    (RETINANET, dict(patch_size=32), 'patch_size is 32'),
    ('mmdet::htc/htc_r50_fpn_1x_coco.py', {}, 'segmentation maps are not sealed'),
    ('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', {}, 'segmentation maps'),
    ('mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py', {},
     'MultiBranch')])
def test_refusals(name, options, reason, sealed):
    with pytest.raises(CannotAdapt, match=reason):
        adapted(sealed, name, 'mix', **options)


def test_keys_and_folders_are_asked_for(sealed, tmp_path):
    with pytest.raises(CannotAdapt, match='give its key'):
        adapt_stock(RETINANET, sealed=sealed / 'mix+center+shuffle')
    with pytest.raises(CannotAdapt, match='no folder train'):
        adapt_stock(RETINANET, sealed=tmp_path)


def test_sealed_metadata_needs_the_key_alone(sealed):
    with pytest.raises(CannotAdapt, match='sealed metadata: give its key'):
        adapt_stock(RETINANET, sealed=sealed / 'hidden')
    cfg = adapt_stock(RETINANET, sealed=sealed / 'hidden',
                      key_file=str(sealed / 'owner.key')).config
    assert cfg.train_dataloader.dataset.metainfo.classes == ('RBC', 'WBC', 'Platelets')
    assert (cfg.val_evaluator.type, cfg.val_evaluator.sealed) == (
        'SealedCocoMetric', str(sealed / 'hidden/val'))
    assert 'ann_file' not in cfg.val_evaluator


@pytest.mark.parametrize('folder', [*SCHEMES, 'hidden'])
def test_from_sealing_to_training(folder, sealed, tmp_path, capsys, run_python):
    """Two iterations, then validation in the plain frame, from the written config alone."""
    key = [] if folder == 'mix' else ['--key-file', str(sealed / 'owner.key')]
    config = tmp_path / 'sealed_config.py'
    assert main(['adapt', RETINANET, '--sealed', str(sealed / folder), *key, '--arch', 'tiny',
                 '--statistics', '4', '-o', str(config)]) == 0
    said = capsys.readouterr().out
    assert 'Resize is left out: rescaling does not commute' in said
    cfg = Config.fromfile(config)
    # Centered by three quarters, levels lie about the middle.
    mean = cfg.model.data_preprocessor.mean
    assert ('center' in folder) == all(abs(level - 128) < 30 for level in mean)
    done = run_python(
        '-m', 'mmppvit', 'train', str(config), '--work-dir', str(tmp_path / 'work'),
        '--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=2',
        'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
        'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
        'default_hooks.logger.interval=1', cwd=str(tmp_path), timeout=300)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log[-3000:]
    losses = [line for line in log.splitlines() if 'Epoch(train)' in line]
    assert len(losses) == 2
    assert 'Epoch(val)' in log
