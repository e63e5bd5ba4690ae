"""Train, evaluate and infer from sealed data sets through the tools; the plain ones are gone."""
from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config

from mmppvit.encryption import Key
from mmppvit.sealed import Manifest
from tests.tools.conftest import shrink

SCHEMES = ['mix', 'mix-shuffle', 'mix-center-shuffle']


@pytest.fixture
def sealed_config(configs, sealed_shapes, tmp_path, monkeypatch):
    """``sealed_config(scheme)``: a small config on a copy of the sealed data, and its options."""

    def make(scheme: str, key_file: Path | None = None) -> tuple[Path, list[str]]:
        monkeypatch.setenv('MMPPVIT_KEY', str(key_file or sealed_shapes.key_file))
        root = shutil.copytree(sealed_shapes.root / scheme.replace('-', '+'), tmp_path / 'sealed')
        config = shrink(configs / f'coco/atss_pevit-tiny_sealed-{scheme}_coco.py', tmp_path, root)
        return config, ['--cfg-options', f'custom_classes={",".join(sealed_shapes.classes)}']

    return make


def _metrics(folder: Path) -> dict:
    return json.loads(max(folder.glob('*/*.json')).read_text())


@pytest.mark.parametrize('scheme', SCHEMES)
def test_train_resume_evaluate(scheme, sealed_config, tmp_path, run_tool):
    config, options = sealed_config(scheme)
    work_dir = tmp_path / 'work'
    run_tool('train.py', config, '--work-dir', work_dir, *options)
    run_tool('train.py', config, '--work-dir', work_dir, '--resume', *options,
             'train_cfg.max_epochs=2')
    assert torch.load(work_dir / 'epoch_2.pth', weights_only=True)['meta']['iter'] == 6
    run_tool('test.py', config, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test',
             '--out', tmp_path / 'results.json', '--show-dir', 'painted', *options)
    assert 0 <= _metrics(tmp_path / 'test')['coco/bbox_mAP'] <= 1
    assert len(list((tmp_path / 'test').glob('*/painted/*'))) == 3
    reach = max(box['bbox'][0] + box['bbox'][2]
                for box in json.loads((tmp_path / 'results.bbox.json').read_text()))
    assert 100 < reach <= 128, 'boxes are reported in the plain frame, 128 pixels wide'


def test_dumped_results_do_not_tell_the_order(sealed_config, tmp_path, run_tool):
    config, options = sealed_config('mix-shuffle')
    run_tool('train.py', config, '--work-dir', tmp_path / 'work', *options)
    run_tool('test.py', config, tmp_path / 'work/epoch_1.pth', '--work-dir', tmp_path / 'test',
             '--out', tmp_path / 'results.pkl', *options)
    results = pickle.loads((tmp_path / 'results.pkl').read_bytes())
    assert len(results) == 3
    assert all('pred_instances' in result and 'patch_order' not in result for result in results)


def test_tta_of_shuffled_images_is_that_of_mixed_ones(sealed_config, tmp_path, run_tool):
    """They are put in order, flipped, and shuffled again for the backbone."""
    found = []
    for scheme in ('mix', 'mix-shuffle'):
        config, options = sealed_config(scheme)
        if not found:
            run_tool('train.py', config, '--work-dir', tmp_path / 'work', *options)
        for flag in ('--tta', None):
            out = tmp_path / f'{scheme}{flag}.json'
            run_tool('test.py', config, tmp_path / 'work/epoch_1.pth', '--work-dir',
                     tmp_path / 'test', '--out', out, *([flag] if flag else []), *options)
            found.append(json.loads(out.with_suffix('.bbox.json').read_text()))
        shutil.rmtree(tmp_path / 'sealed')
    boxes = [[sorted((box['image_id'], box['category_id'], round(box['score'], 3))
                     for box in boxes if box['score'] > .01) for boxes in found]]
    mixed, _, shuffled, _ = boxes[0]
    assert mixed == shuffled
    assert len(found[0]) > 0
    assert found[0] != found[1], 'TTA changes something'


def test_shuffled_trains_as_mixed_does(sealed_config, tmp_path, run_tool):
    """The same seed: three iterations end at the same weights, but for rounding."""
    ends = []
    for scheme in ('mix', 'mix-shuffle'):
        config, options = sealed_config(scheme)
        run_tool('train.py', config, '--work-dir', tmp_path / scheme, *options)
        ends.append(torch.load(tmp_path / scheme / 'epoch_1.pth', weights_only=True)['state_dict'])
        shutil.rmtree(tmp_path / 'sealed')
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize('name', ['other.key', 'none.key'])
def test_another_key_or_none_is_refused_before_the_first_iteration(
        name, sealed_config, tmp_path, tool):
    Key.create(tmp_path / 'other.key')
    config, options = sealed_config('mix-shuffle', tmp_path / name)
    code, _, err = tool('train.py', config, '--work-dir', tmp_path / 'work', *options)
    assert code == 2
    assert 'key file' in err[err.rindex('error: '):]
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_grid_that_does_not_fit_is_refused_before_the_first_iteration(
        sealed_config, tmp_path, tool):
    config, options = sealed_config('mix')
    code, _, err = tool('train.py', config, '--work-dir', tmp_path / 'work', *options,
                        'model.backbone.grid=4')
    assert code == 2
    assert re.search(r'sealed with patch_size=16, grid=2, .* grid=4', err[err.rindex('error: '):])
    assert not list((tmp_path / 'work').glob('*.pth'))


@pytest.mark.parametrize('scheme', ['mix', 'mix-shuffle'])
def test_inferencer_takes_sealed_files(scheme, sealed_config, tmp_path, run_tool):
    """Boxes come back in the plain frame and are painted in that of the file."""
    config, options = sealed_config(scheme)
    run_tool('train.py', config, '--work-dir', tmp_path / 'work', *options)
    dumped = Config.fromfile(str(tmp_path / 'work' / config.name))
    dumped.dump(str(tmp_path / 'inference.py'))
    manifest = Manifest.load(tmp_path / 'sealed/val2017')
    file = str(manifest.path(manifest.images[0]))
    inferencer = DetInferencer(str(tmp_path / 'inference.py'), str(tmp_path / 'work/epoch_1.pth'),
                               device='cpu', show_progress=False)
    result = inferencer(file, return_vis=True, no_save_vis=True, pred_score_thr=0.)
    boxes = np.array(result['predictions'][0]['bboxes'])
    assert 100 < boxes[:, 2].max() <= 128
    assert result['visualization'][0].shape == (48, 64, 3)
