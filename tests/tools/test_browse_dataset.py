"""``tools/browse_dataset.py``: plain beside encrypted."""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from tests.warm_python import run_warm_python

COMMON = """
_base_ = '{configs}/demo/atss_pevit_mix_shapes.py'
custom_data_root = '{data}'
"""
WRAPPED = """
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PhotoMetricDistortion'),
    dict(type='MixSubPatches', patch_size=16, grid=4),
    dict(type='PackDetInputs')
]
split = dict(
    type='CheckedCocoDataset', data_root='', metainfo={{_base_.metainfo}},
    ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/'),
    pipeline=train_pipeline)
train_dataloader = dict(dataset=dict(
    _delete_=True, type='RepeatDataset', times=3,
    dataset=dict(type='ConcatDataset', datasets=[split, split])))
"""
PLAIN = """
_base_.test_pipeline.pop(2)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
"""


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return write_synthetic_shapes(tmp_path_factory.mktemp('drawn') / 'set', 2, 2, (128, 112))


def _browse(tools: Path, config: Path, out: Path, *options: str) -> subprocess.CompletedProcess:
    return run_warm_python(tools / 'browse_dataset.py', config, '--not-show', '--output-dir', out,
                           *options, cwd=out.parent)


def _write(path: Path, text: str, configs: Path, data: Path) -> Path:
    path.write_text(COMMON.format(configs=configs, data=data) + text)
    return path


def _sizes(out: Path) -> dict[str, tuple[int, int]]:
    sizes = {}
    for path in sorted(out.iterdir()):
        with Image.open(path) as img:
            sizes[path.name] = img.size
    return sizes


@pytest.mark.parametrize(('text', 'options', 'names', 'panels'), [
    ('', ['--num', '1'], ['000000000001'], [192, 192]),
    ('', ['--split', 'val'], ['000000000001', '000000000002'], [192, 192]),
    (PLAIN, ['--split', 'val', '--num', '1'], ['000000000001'], [192]),
    (WRAPPED, [], ['000000000001', '000000000001_2', '000000000002', '000000000002_2'],
     [96, 96]),
], ids=['train', 'val', 'not-encrypted', 'wrapped'])
def test_a_image_for_each_item(tools, configs, data, tmp_path, text, options, names, panels):
    config = _write(tmp_path / 'config.py', text, configs, data)
    done = _browse(tools, config, tmp_path / 'out', *options)
    assert done.returncode == 0, done.stderr
    sizes = _sizes(tmp_path / 'out')
    assert list(sizes) == [f'{name}.png' for name in names]
    gap = 6
    assert {width for width, _ in sizes.values()} == {sum(panels) + gap * (len(panels) + 1)}
    assert f'{len(names)} images' in done.stdout


def test_boxes_lie_at_the_same_place_on_both_sides(tools, configs, data, tmp_path):
    config = _write(tmp_path / 'config.py', '', configs, data)
    assert _browse(tools, config, tmp_path / 'out', '--split', 'val').returncode == 0
    with Image.open(tmp_path / 'out' / '000000000001.png') as img:
        pixels = np.asarray(img).astype(int)
    left, right = pixels[-174:-6, 6:198], pixels[-174:-6, 204:396]
    lines = [np.isin(side @ [1, 256, 65536], [c @ np.array([1, 256, 65536]) for c in np.array(
        [(230, 60, 60), (50, 110, 230), (20, 150, 80), (235, 150, 10), (150, 60, 200)])])
             for side in (left, right)]
    assert lines[0].sum() > 150
    assert (lines[0] ^ lines[1]).sum() < .05 * lines[0].sum()


def test_an_unknown_config_is_named(tools, tmp_path):
    done = _browse(tools, tmp_path / 'none.py', tmp_path / 'out')
    assert done.returncode != 0
    assert 'none.py' in done.stderr


def test_boxes_of_another_frame_are_not_drawn(tools, configs, data, tmp_path):
    bent = json.loads((data / 'annotations/instances_train2017.json').read_text())
    for image in bent['images']:
        image.update(width=image['height'], height=image['width'])
    (tmp_path / 'bent.json').write_text(json.dumps(bent))
    config = _write(tmp_path / 'c.py', f"train_dataloader = dict(dataset=dict(ann_file='{tmp_path}"
                    "/bent.json'))", configs, data)
    done = _browse(tools, config, tmp_path / 'out')
    assert done.returncode == 2
    assert 'its json says 112x128' in done.stderr
