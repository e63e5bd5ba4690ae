"""Train, checkpoint, resume and evaluate every kind of detector through the tools."""
from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from mmengine.config import Config

from tests.tools.conftest import shrink

ROOT = Path(__file__).resolve().parents[2]
DETECTORS = ['atss_pevit-tiny_mix', 'atss_pevit-tiny_plain', 'retinanet_pevit-small_mix',
             'faster-rcnn_pevit-small_mix', 'mask-rcnn_pevit-base_mix', 'detr_pevit-small_mix',
             'peyolos-small_mix', 'yolos-tiny_plain']
RESUMED = {'atss_pevit-tiny_mix', 'peyolos-small_mix'}


def _scalars(work_dir: Path) -> list[dict]:
    """Lines of the newest ``scalars.json`` below a work folder."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in newest.read_text().splitlines()]


@pytest.mark.parametrize('name', DETECTORS)
def test_train_resume_evaluate(name, configs, coco_mini, tmp_path, run_tool):
    folder = 'peyolos' if 'yolos' in name else 'coco'
    config = shrink(configs / folder / f'{name}_coco.py', tmp_path, coco_mini)
    work_dir = tmp_path / 'work'

    run_tool('train.py', config, '--work-dir', work_dir)
    first = torch.load(work_dir / 'epoch_1.pth', weights_only=True)
    assert first['meta']['iter'] == 3
    losses = [line['loss'] for line in _scalars(work_dir) if 'loss' in line]
    assert len(losses) == 3
    assert all(torch.isfinite(torch.tensor(losses)))

    checkpoint = work_dir / 'epoch_1.pth'
    if name in RESUMED:
        checkpoint = _resume(config, work_dir, first, run_tool)

    run_tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'test',
             '--out', tmp_path / 'results.json')
    metrics = json.loads(max((tmp_path / 'test').glob('*/*.json')).read_text())
    kinds = ['bbox', 'segm'] if 'mask-rcnn' in name else ['bbox']
    for kind in kinds:
        assert 0 <= metrics[f'coco/{kind}_mAP'] <= 1
        assert (tmp_path / f'results.{kind}.json').is_file()


def _resume(config: Path, work_dir: Path, first: dict, run_tool) -> Path:
    run_tool('train.py', config, '--work-dir', work_dir, '--resume', '--cfg-options',
             'train_cfg.max_epochs=2')
    second = torch.load(work_dir / 'epoch_2.pth', weights_only=True)
    assert second['meta']['iter'] == 6
    history = second['message_hub']['log_scalars']['train/loss']
    assert len(history['log_history']['data']) == 6, 'the curve of before the stop is kept'
    changed = [key for key, value in second['state_dict'].items()
               if not torch.equal(value, first['state_dict'][key])]
    assert any(key.startswith('backbone.patch_embed') for key in changed)
    return work_dir / 'epoch_2.pth'


def test_boxes_are_reported_in_the_plain_frame(configs, coco_mini, tmp_path, run_tool):
    """The json of results holds boxes that reach over the plain image, not over the mixed one."""
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, coco_mini)
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    run_tool('test.py', config, tmp_path / 'work/epoch_1.pth', '--work-dir', tmp_path / 'test',
             '--out', tmp_path / 'results.json', '--show-dir', 'painted')
    images = {image['id']: image for image in json.loads(
        (coco_mini / 'annotations/instances_val2017.json').read_text())['images']}
    results = json.loads((tmp_path / 'results.bbox.json').read_text())
    reach = max((box['bbox'][0] + box['bbox'][2]) / images[box['image_id']]['width']
                for box in results)
    assert .75 < reach < 1.2
    assert len(list((tmp_path / 'test').glob('*/painted/*.jpg'))) == 3


def test_custom_data_set_is_two_fields_away(configs, bccd, tmp_path, run_tool):
    """Three classes of another data set in the COCO config, through options alone."""
    root = tmp_path / 'mine'
    (root / 'annotations').mkdir(parents=True)
    for mine, theirs in (('train', 'train'), ('val', 'test')):
        (root / f'{mine}2017').symlink_to(bccd / 'images')
        (root / f'annotations/instances_{mine}2017.json').symlink_to(
            bccd / f'annotations/instances_{theirs}.json')
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, 'nowhere')
    options = ['--cfg-options', f'custom_data_root={root}', 'custom_classes=RBC,WBC,Platelets']
    run_tool('train.py', config, '--work-dir', tmp_path / 'work', *options)
    checkpoint = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=True)
    assert checkpoint['state_dict']['bbox_head.atss_cls.weight'].shape[0] == 3
    assert tuple(checkpoint['meta']['dataset_meta']['classes']) == ('RBC', 'WBC', 'Platelets')


def test_amp_without_gpu_trains_on(configs, coco_mini, tmp_path, run_tool, capsys):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, coco_mini)
    run_tool('train.py', config, '--work-dir', tmp_path / 'work', '--amp', '--auto-scale-lr')
    assert 'no GPU' in capsys.readouterr().err
    assert (tmp_path / 'work/epoch_1.pth').is_file()


def test_two_processes(configs, coco_mini, tmp_path, tools):
    """``dist_train.sh``: two gloo processes share the epoch and write one checkpoint."""
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, coco_mini,
                    train_dataloader__batch_size=1)
    env = dict(PYTHON=sys.executable, PORT='29617', OMP_NUM_THREADS='1',
               PATH='/usr/bin:/bin', HOME=str(tmp_path))
    done = subprocess.run(['bash', tools / 'dist_train.sh', config, '2', '--work-dir', 'work'],
                          cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    checkpoint = torch.load(tmp_path / 'work/epoch_1.pth', weights_only=True)
    assert checkpoint['meta']['iter'] == 3  # 6 images / (2 processes * batch 1)


@pytest.mark.parametrize('source', ['README.md', 'configs/coco/atss_pevit-tiny_mix_coco.py'])
def test_stock_train_script(source, coco_mini, tmp_path, run_python):
    """MMDetection's own script runs README's config and ours: ``custom_imports`` is enough."""
    config = ROOT / source
    if source == 'README.md':
        line = re.search(r'^(mmppvit adapt .*)$', config.read_text(), re.MULTILINE)[1].split()
        done = run_python('-m', *line, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        config = tmp_path / line[-1]
    (tmp_path / 'small').mkdir()
    config = shrink(config, tmp_path / 'small', coco_mini)
    cfg = Config.fromfile(str(config))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = f'{coco_mini}/'  # the script knows no custom_data_root
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(coco_mini / 'annotations/instances_val2017.json')
    cfg.dump(str(config))
    script = Path(mmdet.__file__).parent / '.mim/tools/train.py'
    done = run_python(script, config, '--work-dir', 'work', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert torch.load(tmp_path / 'work/epoch_1.pth', weights_only=True)['meta']['iter'] == 3
