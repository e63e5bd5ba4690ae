"""The experiment with classifiers, both stages, through its tool."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from mmppvit.models.checkpoints import read_state_dict
from mmppvit.models.protectors import fingerprint, load_protector
from tests.datasets.test_cifar import write_cifar10

SMALL = ['--num-train', 12, '--num-val', 6, '--batch-size', 4, '--epochs', 1,
         '--protector-epochs', 1]
WAYS = ['plain', 'protected, float', 'protected, 8 bit', 'protected, JPEG 90', 'SSIM']


@pytest.fixture
def train(run_tool, tmp_path, monkeypatch):
    """Run it with a small protector; gives the work folders that were trained in."""

    def run(*args: object, models: list = ['resnet20_cifar']) -> list[str]:
        trained, train = [], Runner.train

        def spy(runner):
            trained.append('/'.join(Path(runner.work_dir).parts[-2:]))
            return train(runner)

        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'train', spy)
            # A run within the same second has the same name, and a fresh process no scope.
            for kind in (MessageHub, Visualizer, DefaultScope):
                kind._instance_dict.clear()
            run_tool('train_protector_classifier.py', '--work-dir', tmp_path / 'work', '--models',
                     *models, *args)
        return trained

    return run


def _row(tmp_path: Path, name: str = 'resnet20_cifar') -> dict:
    return json.loads((tmp_path / 'work/table.json').read_text())[name]


def test_both_stages_the_table_and_what_is_left_of_it(train, tmp_path, capfd):
    name = 'resnet20_cifar'
    assert train(*SMALL) == [f'{name}/plain', f'{name}/protected']
    row = _row(tmp_path)
    assert list(row) == WAYS
    assert all(0 <= row[way] <= 100 for way in WAYS)
    out = capfd.readouterr().out
    assert f'{row["protected, 8 bit"]:.1f}' in out
    assert f'The figures: {tmp_path}/work/table.json' in out
    work = tmp_path / 'work' / name
    weights = read_state_dict(work / 'plain/classifier.safetensors')
    assert load_protector(work / 'protected/protector.safetensors').made_for == fingerprint(weights)
    frozen = read_state_dict(work / 'protected/epoch_1.pth')
    assert all((frozen[f'classifier.model.{key}'] == value).all() for key, value in weights.items())


def test_resume_does_what_is_missing_and_nothing_else(train, tmp_path, capfd):
    train(*SMALL)
    row = _row(tmp_path)
    protector = tmp_path / 'work/resnet20_cifar/protected/protector.safetensors'
    assert train(*SMALL, '--resume') == []
    assert _row(tmp_path) == row
    before = protector.read_bytes()
    protector.unlink()
    assert train(*SMALL, '--resume') == ['resnet20_cifar/protected']  # is at its end already
    assert protector.read_bytes() == before
    with pytest.raises(SystemExit):
        train(*SMALL, '--resume', '--alpha', .5)
    assert 'was begun with other options' in capfd.readouterr().err


def test_cifar(train, tmp_path):
    data = write_cifar10(tmp_path / 'cifar-10-batches-bin', 2)
    train('--data', data, '--protector', 'light', '--batch-size', 5, '--epochs', 1,
         '--protector-epochs', 1, '--round')
    assert list(_row(tmp_path)) == WAYS


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--data', '{folder}/none'], 'no folder'),
    (['--vgg', '{folder}/vgg16.pth'], 'no VGG16 weights'),
    (['--models', 'resnet21_cifar'], 'did you mean'),
    (['--protector', 'heavy'], "arch 'heavy' is not one of"),
    (['--epochs', 0], '--epochs must be at least 1'),
    (['--img-size', 16], '--img-size must be at least 32'),
    (['--alpha', -1], 'must not be negative'),
    (['--num-train', 12, '--num-val', 6], 'fewer than a batch of 32'),
])
def test_what_is_wrong_is_said_first(train, tmp_path, capfd, arguments, message):
    with pytest.raises(SystemExit) as ended:
        train(*(str(argument).format(folder=tmp_path) for argument in arguments))
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert message in error
    assert 'Traceback' not in error
