"""Classifiers and protectors train as they always did: losses of the first iterations.

The values were recorded when recipes were still dataclasses and encryptions were called rs and mi.
They differ in the last digits between processors, and in the second one where anything else does.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from PIL import Image

from mmppvit.engine.classifier_run import ClassifierOptions, run_classifier
from mmppvit.engine.protector_experiment import ProtectionOptions, protect_classifiers

TINY = dict(embed_dim=32, depth=2, num_heads=2)
SYNTHETIC = dict(num_train=16, num_val=8, model_kwargs=TINY)
SMALL = dict(img_size=32, batch_size=8, epochs=2)


@pytest.fixture
def losses(monkeypatch) -> list[list[float]]:
    """Losses of every training that has ended, and its learning rates."""
    found, train = [], Runner.train

    def record(runner: Runner):
        result = train(runner)
        scalars = runner.message_hub.log_scalars
        found.append([float(value) for name in ('train/loss', 'train/lr')
                      for value in scalars[name].data[0]])
        return result

    monkeypatch.setattr(Runner, 'train', record)
    for kind in (MessageHub, Visualizer):  # a run within the same second has the same name
        kind._instance_dict.clear()
    return found


def _folder(root: Path) -> str:
    rng = np.random.default_rng(0)
    for split in ('train', 'validation'):
        for name in 'abcdef':
            (root / split / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(rng.integers(0, 256, (40, 36, 3), np.uint8)).save(
                    root / split / name / f'{i}.png')
    return str(root)


@pytest.mark.parametrize(('encrypt', 'expected'), [
    ('plain', [1.806851387, 1.790986180, 1.778812647, 1.761005640]),
    ('shuffle', [1.807370186, 1.789330006, 1.786860228, 1.769123316]),
    ('mix', [1.787820578, 1.777201176, 1.737227440, 1.804592371]),
    ('mix+shuffle', [1.787255049, 1.776740670, 1.735577106, 1.802873015])])
def test_synthetic_images(losses, tmp_path, encrypt, expected):
    run_classifier(ClassifierOptions(
        encrypt=encrypt, recipe=SMALL, work_dir=str(tmp_path), **SYNTHETIC))
    rates = [2.5e-07, 1.25e-4, 1.25e-4, 6.375e-5]
    assert losses == [pytest.approx(expected + rates, rel=1e-5)]


def test_folders_with_the_recipe_of_deit(losses, tmp_path):
    """Mixup, CutMix, RandAugment, stochastic depth and another normalization."""
    run_classifier(ClassifierOptions(
        data=_folder(tmp_path / 'data'), work_dir=str(tmp_path), encrypt='mix+shuffle', seed=3,
        model_kwargs=TINY, mean=(188, 178, 183), std=(15, 26, 19), ema=True,
        recipe=dict(SMALL, batch_size=4, hflip=0, crop=.8, crop_pct=1)))
    expected = [1.817137957, 1.740340710, 1.826375842, 1.754683137, 1.857813597, 1.792760253]
    assert losses[0][:6] == pytest.approx(expected, rel=1e-5)


def test_both_stages_of_a_protector(losses, tmp_path):
    row = protect_classifiers(ProtectionOptions(
        models=['resnet20_cifar'], num_train=12, num_val=6, work_dir=str(tmp_path),
        recipe=dict(batch_size=4, epochs=2, protector_epochs=2)))['resnet20_cifar']
    rates = [5e-4, 1e-3, 1.5e-3, 4e-4, 5e-4, 6e-4]
    plain = [3.549597263, 3.260833263, 4.848733902, 2.767699242, 3.667956352, 3.303662062]
    protected = [1.823539495, 1.993335366, 2.748270035, 1.742556810, 2.281273365, 2.415616512]
    assert losses == [pytest.approx(plain + rates, rel=1e-4),
                      pytest.approx(protected + rates, rel=1e-4)]
    assert list(row) == ['plain', 'protected, float', 'protected, 8 bit', 'protected, JPEG 90',
                         'SSIM']

