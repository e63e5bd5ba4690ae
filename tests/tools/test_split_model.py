"""A checkpoint in two files, run one after the other by the tools."""
from __future__ import annotations

import json
import re
import shutil
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmppvit.datasets.synthetic_shapes import SHAPES, write_synthetic_shapes
from mmppvit.two_party.split import read_part
from tests.hostile_bytes import png_claiming
from tests.tools.conftest import shrink


@pytest.fixture
def config(configs, tmp_path):
    """A detector of plain images, whose files are what it sees."""
    root = tmp_path / 'drawn'
    write_synthetic_shapes(root, num_train=2, num_val=3, size=(96, 64))
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
def fails(run_tool, capsys):
    """``fails('run_split.py', ...)``: the line of its error; the exit status is 2."""

    def run(*args: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            run_tool(*args)
        assert caught.value.code == 2
        lines = capsys.readouterr().err.splitlines()
        return next(line for line in lines if line.startswith('error: '))

    return run


@pytest.fixture
def halves(config, checkpoint, tmp_path, run_tool):
    paths = tmp_path / 'backbone.safetensors', tmp_path / 'head.safetensors'
    run_tool(*_split(config, checkpoint, paths))
    return paths


@pytest.fixture
def tokens(halves, tmp_path, run_tool):
    run_tool('run_split.py', 'backbone', halves[0], tmp_path / 'drawn/val2017',
             '--out', tmp_path / 'tokens', '--batch-size', '2')
    return tmp_path / 'tokens'


def _split(config: Path, checkpoint: Path, halves: Sequence[Path]) -> list:
    return ['split_model.py', config, checkpoint, '--backbone-out', halves[0],
            '--head-out', halves[1]]


def _results(path) -> list[dict]:
    return sorted(json.loads(path.read_text()),
                  key=lambda box: (box['image_id'], -box['score'], *box['bbox']))


def test_halves_find_what_the_whole_finds(config, checkpoint, halves, tokens, tmp_path, run_tool,
                                          capsys):
    _assert_split_equals_whole(config, checkpoint, halves[1], tmp_path, run_tool)
    assert 'coco/bbox_mAP: ' in capsys.readouterr().out


def _assert_split_equals_whole(config: Path, checkpoint: Path, head: Path, tmp_path: Path,
                               run_tool) -> None:
    """Boxes of ``run_split.py head`` and of ``test.py``, image by image."""
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


def test_the_key_is_needed_for_the_head_alone(configs, tmp_path, run_tool, fails):
    """A keyed detector on sealed images, whose backbone half gets the files and nothing else."""
    root, sealed, key = (tmp_path / name for name in ('drawn', 'sealed', 'key'))
    write_synthetic_shapes(root, num_train=2, num_val=3, size=(96, 64))
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
    run_tool(*_split(path, checkpoint, halves))
    for half in halves:
        assert str(tmp_path).encode() not in half.read_bytes(), 'no name of a key file'
    key.rename(tmp_path / 'away')
    run_tool('run_split.py', 'backbone', halves[0], sealed, '--out', tmp_path / 'tokens')
    head = ['run_split.py', 'head', halves[1], path, tmp_path / 'tokens']
    assert fails(*head).startswith(f'error: no key file {key}')
    run_tool('keygen.py', key)
    assert 'name the key file it was sealed with' in fails(*head)
    (tmp_path / 'away').rename(key)
    _assert_split_equals_whole(path, checkpoint, halves[1], tmp_path, run_tool)


def test_what_the_files_hold(halves, tokens, tmp_path):
    assert 'classes' not in read_part(halves[0], 'backbone')[1]
    meta = read_part(halves[1], 'head')[1]['dataset_meta']
    assert meta == dict(classes=list(SHAPES), palette=[[1, 2, 3]] * 5)
    for path in halves:
        assert str(tmp_path).encode() not in path.read_bytes()
    images = sorted((tmp_path / 'drawn/val2017').iterdir())
    assert sorted(tokens.iterdir()) == [tokens / f'{path.stem}.safetensors' for path in images]
    maps, info = read_part(tokens / f'{images[0].stem}.safetensors', 'tokens')
    assert {name: tuple(x.shape) for name, x in maps.items()} == dict(map0=(32, 4, 6))
    assert (info['file_name'], info['img_shape']) == (images[0].name, [64, 96])


def test_classes_of_a_bare_checkpoint_are_the_configs(config, checkpoint, tmp_path, run_tool):
    bare = tmp_path / 'bare.pth'
    torch.save(torch.load(checkpoint, weights_only=True)['state_dict'], bare)
    _assert_classes_of_the_config(config, bare, tmp_path, run_tool)
    # As other programs save it, with more than weights.
    content = dict(model=torch.load(bare, weights_only=True), args=Namespace(lr=.1))
    torch.save(content, bare)
    _assert_classes_of_the_config(config, bare, tmp_path, run_tool)


def _assert_classes_of_the_config(config, checkpoint, tmp_path, run_tool) -> None:
    outs = [tmp_path / f'{name}.safetensors' for name in 'ab']
    run_tool(*_split(config, checkpoint, outs), '--force')
    assert read_part(outs[1], 'head')[1]['dataset_meta']['classes'] == list(SHAPES)


def test_files_that_exist_stay(config, checkpoint, halves, run_tool, fails):
    before = halves[1].read_bytes()
    args = _split(config, checkpoint, halves)
    assert fails(*args) == f'error: {halves[0]} exists; choose another name, or --force'
    halves[1].write_bytes(b'old')
    run_tool(*args, '--force')
    assert halves[1].read_bytes() == before


def test_tokens_that_are_missing_or_of_other_images(config, halves, tokens, tmp_path, run_tool,
                                                      fails):
    other = tmp_path / 'other'
    shutil.copytree(tmp_path / 'drawn/val2017', other)
    first = min(other.iterdir())
    cv2.imwrite(str(first), np.zeros((32, 32, 3), np.uint8))
    run_tool('run_split.py', 'backbone', halves[0], first, '--out', tokens)
    args, name = ['run_split.py', 'head', halves[1], config, tokens], f'{first.stem}.safetensors'
    assert 'of [32, 32], but the test pipeline makes one of [64, 96]' in fails(*args)
    (tokens / name).unlink()
    assert fails(*args).startswith(f'error: no tokens {tokens / name} of ')


def test_names_that_folders_tell_apart(config, halves, tmp_path, run_tool, fails, capsys):
    """Images of one name in several folders; without folders they cannot be told apart."""
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
    said = fails('run_split.py', 'head', halves[1], config, tmp_path / 'flat')
    assert re.search(r'same.safetensors is not of .*1/same.png alone', said)


def test_heads_of_other_classes(config, halves, tokens, fails):
    said = fails('run_split.py', 'head', halves[1], config, tokens, '--cfg-options',
                 'custom_classes=ellipse,star')
    assert re.search('trained on the classes .* has .*star', said)


def test_images_that_cannot_be_used(halves, tmp_path, fails):
    folder = tmp_path / 'images'
    (folder / 'sub').mkdir(parents=True)
    args = ['run_split.py', 'backbone', halves[0], folder, '--out', tmp_path / 'out']
    assert re.search(r'no images \(.*\.png, .*\) in .*images', fails(*args))
    for path in (folder / 'a.png', folder / 'a.webp'):
        path.write_bytes(b'no image')
    assert 'would have the same token file' in fails(*args)
    (folder / 'a.webp').unlink()
    assert 'a.png is not an image that can be read' in fails(*args)
    (folder / 'a.png').write_bytes(png_claiming(30_000))
    assert re.search('a.png is not an image that can be read: it claims .* pixels', fails(*args))
    said = fails(*args[:3], tmp_path / 'nowhere', '--out', tmp_path / 'out')
    assert said == f'error: no image or folder {tmp_path / "nowhere"}'


@pytest.mark.parametrize(('content', 'message'), [
    (None, '^error: no checkpoint .*other.pth$'),
    (b'', r'other.pth cannot be read as weights only \(EOFError\); save its bare state dict'),
    (b'this is a text', 'other.pth cannot be read as weights only'),
    (['no', 'weights'], 'other.pth holds a list, not a state dict$'),
    (dict(meta={}), 'other.pth holds no tensors; its entries are meta$'),
    (dict(state_dict={'neck.bias': torch.zeros(1)}), 'the checkpoint does not fit this '),
], ids=['missing', 'empty', 'text', 'list', 'no tensors', 'another model'])
def test_what_is_no_checkpoint_of_the_config(config, tmp_path, fails, content, message):
    path, outs = tmp_path / 'other.pth', [tmp_path / f'{name}.safetensors' for name in 'ab']
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert re.search(message, fails(*_split(config, path, outs)))
    assert not any(out.exists() for out in outs)


def test_other_arguments(config, checkpoint, tmp_path, fails):
    out, other = tmp_path / 'a.safetensors', tmp_path / 'b.safetensors'
    assert 'no config nowhere.py' in fails(*_split('nowhere.py', checkpoint, [out, other]))
    assert 'are the same file' in fails(*_split(config, checkpoint, [out, out]))
    said = fails(*_split(config, checkpoint, [out, tmp_path / 'b.pth']))
    assert said == f'error: {tmp_path / "b.pth"} has to end in .safetensors'
    said = fails(*_split(config, checkpoint, [out, other]), '--cfg-options',
                 'model.data_preprocessor.type=BatchFixedSizePad')
    assert said.startswith(f'error: {config}: ')


def test_files_that_are_no_halves(config, checkpoint, halves, tmp_path, fails):
    commands = (['backbone', tmp_path, '--out', tmp_path / 'out'], ['head', config, tmp_path])
    for (half, *rest), other in zip(commands, halves[::-1], strict=True):
        for model, message in ((other, f'expected mmppvit-{half}, version {1 + (half == "head")}'),
                               (checkpoint, 'is not a .safetensors file, or a damaged one'),
                               (tmp_path / 'nowhere', f'no {half} file {tmp_path}/nowhere')):
            assert message in fails('run_split.py', half, model, *rest)
