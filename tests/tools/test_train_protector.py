"""Train, resume and evaluate a protector through the tools; the detector stays as it is."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner

from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.protectors import fingerprint, load_protector


@pytest.fixture
def small(configs, bccd, tmp_path) -> Path:
    """configs/protectors/atss_pevit-tiny_light_bccd.py made small, with weights to protect."""
    cfg = Config.fromfile(str(configs / 'protectors/atss_pevit-tiny_light_bccd.py'))
    cfg.custom_data_root = str(bccd)
    cfg.merge_from_dict(dict(
        model=dict(
            checkpoint=str(tmp_path / 'detector.pth'), protector=dict(arch=(4, 8)),
            reconstructor=dict(network=dict(type='ProtectionUNet', arch=(4, 8))),
            detector=dict(
                backbone=dict(arch=dict(embed_dims=32, num_layers=1, num_heads=2)),
                neck=dict(in_channels=32, out_channels=32, num_blocks=0),
                bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=1),
                test_cfg=dict(score_thr=0.))),
        train_cfg=dict(max_epochs=1, val_interval=1),
        default_hooks=dict(logger=dict(interval=1))))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        for dataset in loader.dataset.get('datasets', [loader.dataset]):
            dataset.indices = 3
            for step in dataset.pipeline:
                step.update({'scale': (128, 96)} if 'scale' in step else {})
    torch.manual_seed(1)
    detector = MODELS.build(dict(cfg.model.detector, _scope_='mmdet'))
    write_state_dict(tmp_path / 'detector.pth', detector.state_dict())
    cfg.dump(str(tmp_path / 'small.py'))
    return tmp_path / 'small.py'


@pytest.fixture
def trained(monkeypatch) -> list[tuple]:
    """Runners that trained, each with the detector's parameters and buffers of before."""
    seen, train = [], Runner.train

    def spy(runner):
        seen.append((runner, {name: x.clone() for name, x in _frozen(runner)}))
        return train(runner)

    monkeypatch.setattr(Runner, 'train', spy)
    return seen


def _frozen(runner) -> list[tuple]:
    detector = runner.model.detector
    return [*detector.named_parameters(), *detector.named_buffers()]


def test_train_resume_evaluate(small, tmp_path, run_tool, trained):
    work_dir = tmp_path / 'work'
    run_tool('train.py', small, '--work-dir', work_dir)
    runner, before = trained[0]
    assert len(before) > 30
    assert all(torch.equal(x, before[name]) for name, x in _frozen(runner))
    first = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert first['meta']['iter'] == 3
    assert not any(name.startswith(('detector', 'perceptual')) for name in first['state_dict'])
    learning = [param for param in runner.model.parameters() if param.requires_grad]
    assert len(first['optimizer']['state']) == len(learning)

    run_tool('train.py', small, '--work-dir', work_dir, '--resume', '--cfg-options',
             'train_cfg.max_epochs=2')
    second = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert second['meta']['iter'] == 6
    changed = [name for name, value in second['state_dict'].items()
               if not torch.equal(value, first['state_dict'][name])]
    assert 'protector.head.weight' in changed
    assert 'reconstructor.network.head.weight' in changed
    assert '_extra_state' not in changed
    detector = torch.load(tmp_path / 'detector.pth', weights_only=True)['state_dict']
    for name in ('protector.safetensors', 'epoch_2.pth'):
        assert load_protector(work_dir / name).made_for == fingerprint(detector)

    run_tool('test.py', small, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test')
    metrics = json.loads(max((tmp_path / 'test').glob('*/*.json')).read_text())
    assert 0 <= metrics['coco/bbox_mAP'] <= 1


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(small, tmp_path, tool):
    code, _, err = tool(
        'train.py', small, '--work-dir', tmp_path / 'work', '--cfg-options',
        'model.protector.norm=None', 'optim_wrapper.optimizer.lr=1e36', 'param_scheduler=[]',
        'default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1',
        'default_hooks.checkpoint.save_best=None')
    assert code == 2
    assert re.search('is nan|not finite', err[err.rindex('error: '):])
    saved = [*(tmp_path / 'work').glob('iter_*.pth')]
    for path in saved:
        state = torch.load(path, weights_only=True)['state_dict']
        assert all(torch.isfinite(value).all() for value in state.values())
    assert saved
