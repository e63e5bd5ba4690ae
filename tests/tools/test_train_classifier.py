"""Train, resume, evaluate and hand on a classifier through its tool."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.visualization import Visualizer
from PIL import Image
from safetensors.torch import load_file

from tests.tools.conftest import shrink

MODEL = dict(embed_dim=32, depth=2, num_heads=2)
MODEL_KWARGS = [f'{key}={value}' for key, value in MODEL.items()]
SMALL = ['--num-train', 16, '--num-val', 8, '--img-size', 32, '--batch-size', 8]


@pytest.fixture
def train(run_tool, tmp_path):
    """Run the tool in ``tmp_path/work`` on a few small synthetic images."""

    def run(*args: object, kwargs: list[str] = MODEL_KWARGS, sample: list = SMALL) -> None:
        for kind in (MessageHub, Visualizer):  # a run within the same second has the same name
            kind._instance_dict.clear()
        run_tool('train_classifier.py', '--work-dir', tmp_path / 'work', *sample, *args,
                 *(['--model-kwargs', *kwargs] if kwargs else []))

    return run


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six classes in train/ and validation/, two images each."""
    rng = np.random.default_rng(0)
    for split in ('train', 'validation'):
        for name in 'abcdef':
            (tmp_path / 'data' / split / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(rng.integers(0, 256, (40, 36, 3), np.uint8)).save(
                    tmp_path / 'data' / split / name / f'{i}.png')
    return tmp_path / 'data'


def _top1(text: str) -> float:
    return float(re.findall(r'images: top-1 ([\d.]+) %', text)[-1])


def test_train_resume_evaluate_and_hand_on(train, tmp_path, capfd, configs):
    work = tmp_path / 'work'
    train('--encrypt', 'mix+shuffle', '--epochs', 1, '--ema', '--ema-decay', .5)
    assert 'pevit_tiny_patch16_224_mix on mix+shuffle images: top-1' in capfd.readouterr().out
    train('--encrypt', 'mix+shuffle', '--epochs', 2, '--ema', '--ema-decay', .5, '--resume')
    after = _top1(capfd.readouterr().out)
    last = torch.load(work / 'epoch_2.pth', weights_only=True)
    assert (last['meta']['epoch'], last['meta']['iter']) == (2, 4)

    # The averaged weights, under bare names, are those of the checkpoint.
    bare = load_file(work / 'classifier.safetensors')
    assert {f'model.{name}' for name in bare} == last['state_dict'].keys()
    for name, value in bare.items():
        assert torch.equal(value, last['state_dict'][f'model.{name}'])
    raw = last['ema_state_dict']['module.model.head.weight']
    assert not torch.equal(bare['head.weight'], raw)
    model = timm.create_model('pevit_tiny_patch16_224_mix', num_classes=6, **MODEL,
                              checkpoint_path=str(work / 'classifier.safetensors'))
    assert torch.equal(model.cls_token, bare['cls_token'])

    for file in ('classifier.safetensors', 'epoch_2.pth'):
        train('--encrypt', 'mix+shuffle', '--eval-only', work / file)
        assert _top1(capfd.readouterr().out) == after

    small = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, tmp_path)
    for file in ('classifier.safetensors', 'epoch_2.pth'):
        cfg = Config.fromfile(small).model
        cfg.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(work / file))
        detector = MODELS.build(cfg)
        detector.init_weights()
        for name, value in detector.backbone.state_dict().items():  # copied, not adapted
            assert torch.equal(value, bare[name]), name


def test_folders_of_classes_with_the_whole_recipe(train, folder, capfd):
    options = ['--data', folder, '--img-size', 32, '--batch-size', 4, '--epochs', 1]
    train(*options, '--encrypt', 'shuffle', '--amp', sample=[])
    assert re.search(r'shuffle images: top-1 [\d.]+ %, top-5 [\d.]+ %', capfd.readouterr().out)


def test_other_models_and_fine_tuning(train, folder, tmp_path, capfd):
    train('--model', 'deit_tiny_patch16_224', '--epochs', 1)
    train('--data', folder, '--img-size', 32, '--batch-size', 4, '--epochs', 1, '--encrypt', 'mix',
          '--init', tmp_path / 'work/classifier.safetensors', '--work-dir', tmp_path / 'tuned',
          sample=[])
    out = capfd.readouterr().out
    assert 'summed over 2x2 sub-kernels' in out
    assert 'pevit_tiny_patch16_224_mix on mix images' in out


ERRORS = [
    (['--model', 'pevit_tiny'], 'did you mean'),
    (['--img-size', 40], 'choose 32 or 48'),
    (['--model', 'pevit_tiny_patch16_224_mix'], '--encrypt mix'),
    (['--model', 'deit_tiny_patch16_224', '--encrypt', 'mix'], 'patch_size=8'),
    (['--data', 'absent'], 'no folder absent'),
    (['--eval-only', 'absent.pth'], 'no checkpoint absent.pth'),
    (['--init', 'absent.pth'], 'no checkpoint absent.pth'),
    (['--resume', 'absent.pth'], 'no checkpoint absent.pth'),
    (['--batch-size', 32], 'fewer than a batch'),
    (['--batch-size', 7, '--mixup', .8], 'odd'),
    (['--launcher', 'pytorch'], '--data'),
    (['--crop', 1.5], '1 for the whole'),
    (['--crop-pct', 0], '1 for the whole'),
    (['--hflip', -1], 'choose 0 to 1'),
    (['--encrypt', 'swirl'], "no encryption 'swirl'"),
    (['--config', 'absent'], 'no config absent'),
    (['--config', 'demo/atss_pevit_mix_shapes'], 'does not read class folders'),
]


@pytest.mark.parametrize(('options', 'message'), ERRORS)
def test_one_line_says_what_is_wrong(train, capfd, options, message):
    with pytest.raises(SystemExit) as caught:
        train(*options)
    assert caught.value.code == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error')]
    assert len(lines) == 1
    assert message in lines[0]


def test_what_is_wrong_with_the_data(train, folder, capfd):
    options = ['--data', folder, '--img-size', 32, '--batch-size', 4, '--epochs', 1]

    def error() -> str:
        with pytest.raises(SystemExit):
            train(*options, sample=[])
        return capfd.readouterr().err.splitlines()[-1]

    path = folder / 'train/a/0.png'
    content = path.read_bytes()
    path.write_bytes(content[:200])
    assert 'replace or remove it' in error()
    path.write_bytes(content)
    (folder / 'train/g').mkdir()
    assert 'g has no images' in error()
    path.rename(folder / 'train/g/0.png')
    assert 'lacks 1 class, e.g. g' in error()
    (folder / 'validation').rename(folder / 'other')
    assert 'no folder val or validation or test' in error()


def test_weights_of_another_model_are_refused(train, tmp_path, capfd):
    train('--epochs', 1)
    for option in ('--init', '--eval-only'):
        with pytest.raises(SystemExit):
            train(option, tmp_path / 'work/epoch_1.pth', kwargs=['embed_dim=32', 'depth=1',
                                                                 'num_heads=2'])
        assert 'does not fit this PEViTClassifier' in capfd.readouterr().err
