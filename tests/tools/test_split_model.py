"""A checkpoint in two files, run one after the other by the tools."""
from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from mmppvit.datasets.drawn_shapes import SHAPES, write_drawn_shapes
from mmppvit.models.split import read_part
from tests.tools.conftest import shrink

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config


@pytest.fixture
def config(configs, tmp_path):
    """A detector of plain pictures, whose files are what it sees."""
    root = tmp_path / 'drawn'
    write_drawn_shapes(root, num_train=2, num_val=3, size=(96, 64))
    path = shrink(configs / 'demo/atss_pevit_mix_shapes.py', tmp_path, root)
    cfg = Config.fromfile(str(path))
    cfg.merge_from_dict(dict(
        model=dict(
            data_preprocessor=dict(pad_size_divisor=16),
            backbone=dict(grid=1),
            bbox_head=dict(anchor_generator=dict(strides=[16, 32])))))
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset.pipeline = [
        step for step in pipeline if step.type not in ('Resize', 'MixSubPatches')]
    pipeline[-1].meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    cfg.test_dataloader.dataset.pipeline.insert(
        1, dict(type='Resize', scale_factor=1., keep_ratio=True))
    cfg.dump(str(path))
    return path


@pytest.fixture
def checkpoint(config, tmp_path):
    return _write_checkpoint(config, tmp_path)


def _write_checkpoint(config: Path, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = MODELS.build(dict(Config.fromfile(str(config)).model, _scope_='mmdet'))
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        dataset_meta=dict(classes=SHAPES, palette=[(1, 2, 3)] * 5))), path)
    return path


@pytest.fixture
def halves(config, checkpoint, tmp_path, run_tool):
    paths = tmp_path / 'backbone.safetensors', tmp_path / 'head.safetensors'
    run_tool('split_model.py', config, checkpoint, '--backbone-out', paths[0],
             '--head-out', paths[1])
    return paths


@pytest.fixture
def tokens(halves, tmp_path, run_tool):
    run_tool('run_split.py', 'backbone', halves[0], tmp_path / 'drawn/val2017',
             '--out', tmp_path / 'tokens', '--batch-size', '2')
    return tmp_path / 'tokens'


def _results(path) -> list[dict]:
    return sorted(json.loads(path.read_text()),
                  key=lambda box: (box['image_id'], -box['score'], *box['bbox']))


def test_halves_find_what_the_whole_finds(config, checkpoint, halves, tokens, tmp_path, run_tool,
                                          capsys):
    _assert_split_equals_whole(config, checkpoint, halves[1], tmp_path, run_tool)
    assert 'coco/bbox_mAP: ' in capsys.readouterr().out


def _assert_split_equals_whole(config: Path, checkpoint: Path, head: Path, tmp_path: Path,
                               run_tool) -> None:
    """Boxes of ``run_split.py head`` and of ``test.py``, picture by picture."""
    run_tool('run_split.py', 'head', head, config, tmp_path / 'tokens',
             '--out', tmp_path / 'split.json')
    run_tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'test',
             '--out', tmp_path / 'whole.json')
    found, expected = (_results(tmp_path / f'{name}.bbox.json') for name in ('split', 'whole'))
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert (one['image_id'], one['category_id']) == (other['image_id'], other['category_id'])
        assert one['score'] == pytest.approx(other['score'], abs=1e-5)
        np.testing.assert_allclose(one['bbox'], other['bbox'], rtol=1e-4, atol=1e-3)


def test_the_key_is_needed_for_the_head_alone(configs, tmp_path, run_tool):
    """A keyed detector on sealed pictures, whose backbone half gets the files and nothing else."""
    root, sealed, key = (tmp_path / name for name in ('drawn', 'sealed', 'key'))
    write_drawn_shapes(root, num_train=2, num_val=3, size=(96, 64))
    run_tool('keygen.py', key)
    with suppress(SystemExit):
        run_tool('encrypt_dataset.py', '--img-dir', root / 'val2017', '--ann',
                 root / 'annotations/instances_val2017.json', '--out', sealed,
                 '--scheme', 'mix+shuffle', '--key-file', key)
    path = shrink(configs / 'demo/atss_pevit_mix_shapes.py', tmp_path, root)
    cfg = Config.fromfile(str(path))
    cfg.custom_data_root = None
    cfg.model.update(type='KeyedOrder', detector='ATSS')
    cfg.test_dataloader.dataset = dict(
        type='SealedCocoDataset', data_root=str(sealed), metainfo=cfg.metainfo, test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='ReadSeal', key_file=str(key)),
                  dict(type='LoadAnnotations', with_bbox=True), dict(type='PackSealedInputs')])
    cfg.test_evaluator.ann_file = str(root / 'annotations/instances_val2017.json')
    cfg.dump(str(path))
    halves = tmp_path / 'backbone.safetensors', tmp_path / 'head.safetensors'
    checkpoint = _write_checkpoint(path, tmp_path)
    run_tool('split_model.py', path, checkpoint, '--backbone-out', halves[0],
             '--head-out', halves[1])
    for half in halves:
        assert str(tmp_path).encode() not in half.read_bytes(), 'no name of a key file'
    key.rename(tmp_path / 'away')
    run_tool('run_split.py', 'backbone', halves[0], sealed, '--out', tmp_path / 'tokens')
    (tmp_path / 'away').rename(key)
    _assert_split_equals_whole(path, checkpoint, halves[1], tmp_path, run_tool)


def test_what_the_files_hold(halves, tokens, tmp_path):
    assert 'classes' not in read_part(halves[0], 'backbone')[1]
    meta = read_part(halves[1], 'head')[1]['dataset_meta']
    assert meta == dict(classes=list(SHAPES), palette=[[1, 2, 3]] * 5)
    for path in halves:
        assert str(tmp_path).encode() not in path.read_bytes()
    pictures = sorted((tmp_path / 'drawn/val2017').iterdir())
    assert sorted(tokens.iterdir()) == [tokens / f'{path.stem}.safetensors' for path in pictures]
    maps, info = read_part(tokens / f'{pictures[0].stem}.safetensors', 'tokens')
    assert {name: tuple(x.shape) for name, x in maps.items()} == dict(map0=(32, 4, 6))
    assert (info['file_name'], info['img_shape']) == (pictures[0].name, [64, 96])


def test_classes_of_a_bare_checkpoint_are_the_configs(config, checkpoint, tmp_path, run_tool):
    bare = tmp_path / 'bare.pth'
    torch.save(torch.load(checkpoint, weights_only=True)['state_dict'], bare)
    run_tool('split_model.py', config, bare, '--backbone-out', tmp_path / 'a.safetensors',
             '--head-out', tmp_path / 'b.safetensors')
    info = read_part(tmp_path / 'b.safetensors', 'head')[1]
    assert info['dataset_meta']['classes'] == list(SHAPES)


def test_files_that_exist_stay(config, checkpoint, halves, run_tool, capsys):
    before = halves[1].read_bytes()
    args = ['split_model.py', config, checkpoint, '--backbone-out', halves[0],
            '--head-out', halves[1]]
    with pytest.raises(SystemExit):
        run_tool(*args)
    assert 'exists; choose another name, or --force' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_tool(*args[:2], 'nowhere.pth', *args[3:], '--force')
    assert 'no checkpoint nowhere.pth' in capsys.readouterr().err
    halves[1].write_bytes(b'old')
    run_tool(*args, '--force')
    assert halves[1].read_bytes() == before


def test_tokens_that_are_missing_or_of_other_pictures(config, halves, tokens, tmp_path, run_tool):
    other = tmp_path / 'other'
    shutil.copytree(tmp_path / 'drawn/val2017', other)
    first = min(other.iterdir())
    cv2.imwrite(str(first), np.zeros((32, 32, 3), np.uint8))
    run_tool('run_split.py', 'backbone', halves[0], first, '--out', tokens)
    with pytest.raises(ValueError, match=r'picture of \(32, 32\), but the test pipeline makes one '
                       r'of \(64, 96\)'):
        run_tool('run_split.py', 'head', halves[1], config, tokens)
    (tokens / f'{first.stem}.safetensors').unlink()
    with pytest.raises(FileNotFoundError, match=f'no tokens .*{first.stem}.safetensors of .*: run'):
        run_tool('run_split.py', 'head', halves[1], config, tokens)


def test_names_that_folders_tell_apart(config, halves, tmp_path, run_tool, capsys):
    """Pictures of one name in several folders; without folders they cannot be told apart."""
    cfg = Config.fromfile(str(config))
    ann_file = tmp_path / 'drawn/annotations/instances_val2017.json'
    content, folder = json.loads(ann_file.read_text()), tmp_path / 'drawn/val2017'
    for i, image in enumerate(content['images']):
        (folder / str(i)).mkdir()
        (folder / image['file_name']).rename(folder / str(i) / 'same.png')
        image['file_name'] = f'{i}/same.png'
    ann_file.write_text(json.dumps(content))
    assert cfg.test_dataloader.dataset.indices == 3
    tokens = tmp_path / 'tokens'
    run_tool('run_split.py', 'backbone', halves[0], folder, '--out', tokens)
    assert sorted(path.parent.name for path in tokens.glob('*/same.safetensors')) == list('012')
    run_tool('run_split.py', 'head', halves[1], config, tokens)
    assert 'coco/bbox_mAP: ' in capsys.readouterr().out
    run_tool('run_split.py', 'backbone', halves[0], folder / '0', '--out', tmp_path / 'flat')
    with pytest.raises(ValueError, match=r'same.safetensors is not of .*1/same.png alone'):
        run_tool('run_split.py', 'head', halves[1], config, tmp_path / 'flat')


def test_heads_of_other_classes(config, halves, tokens, run_tool):
    with pytest.raises(ValueError, match=r'trained on the classes .* has '):
        run_tool('run_split.py', 'head', halves[1], config, tokens, '--cfg-options',
                 'custom_classes=ellipse,star')


def test_pictures_that_cannot_be_used(halves, tmp_path, run_tool):
    folder = tmp_path / 'pictures'
    (folder / 'sub').mkdir(parents=True)
    args = ['run_split.py', 'backbone', halves[0], folder, '--out', tmp_path / 'out']
    with pytest.raises(ValueError, match=r'no pictures \(.*\.png, .*\) in .*pictures'):
        run_tool(*args)
    for path in (folder / 'a.png', folder / 'a.webp'):
        path.write_bytes(b'no picture')
    with pytest.raises(ValueError, match='would have the same token file'):
        run_tool(*args)
    (folder / 'a.webp').unlink()
    with pytest.raises(ValueError, match=r'a.png is not a picture that can be read'):
        run_tool(*args)
    with pytest.raises(FileNotFoundError, match=r'no picture or folder .*nowhere'):
        run_tool(*args[:3], tmp_path / 'nowhere', '--out', tmp_path / 'out')
