"""Wrong data: training ends with status 2 and an error that names the remedy; nothing is lost."""
from __future__ import annotations

import io
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from tests.tools.conftest import shrink


@pytest.fixture
def drawn(tmp_path):
    """A small drawn data set in COCO's layout, and the config that fits it."""
    root = tmp_path / 'drawn'
    write_synthetic_shapes(root, num_train=6, num_val=3, size=(96, 96))
    return root


@pytest.fixture
def config(configs, tmp_path, drawn):
    return shrink(configs / 'demo/atss_pevit_mix_shapes.py', tmp_path, drawn)


@pytest.fixture
def wrong(tool, config, tmp_path):
    """``wrong(message, '--resume')`` trains, or runs ``command``: status 2 and the message."""

    def run(message: str, *options: object, command: tuple = ()) -> None:
        code, _, err = tool(*(command or ('train.py', config, '--work-dir', tmp_path / 'work')),
                            *options)
        assert code == 2, err
        assert 'Traceback' not in err
        last = err[err.rindex('error: '):]
        assert re.search(message, last, re.DOTALL), last

    return run


def _replace_image(root, content: bytes) -> str:
    """Overwrite the first training image, and its size and boxes in the json; returns its name."""
    ann_file = root / 'annotations/instances_train2017.json'
    data = json.loads(ann_file.read_text())
    image = data['images'][0]
    (root / 'train2017' / image['file_name']).write_bytes(content)
    with Image.open(io.BytesIO(content)) as img:
        image['width'], image['height'] = img.size
    for item in data['annotations']:
        if item['image_id'] == image['id']:
            item.update(bbox=[0, 0, 4, 4], area=16, segmentation=[[0, 0, 4, 0, 4, 4]])
    ann_file.write_text(json.dumps(data))
    return image['file_name']


def _encode(img: np.ndarray, suffix: str = '.png') -> bytes:
    return cv2.imencode(suffix, img)[1].tobytes()


def test_image_smaller_than_a_patch(drawn, wrong):
    name = _replace_image(drawn, _encode(np.zeros((33, 990, 3), np.uint8)))  # 96x3 when resized
    wrong(rf'{name}.*height \d\b.*smaller than one 16x16 patch')


def test_grid_that_does_not_divide_the_patch(wrong):
    wrong('grid 3 does not divide the patch size 16', '--cfg-options', 'model.backbone.grid=3')


@pytest.mark.parametrize('channels', [1, 4])
def test_grayscale_and_alpha_files_train(config, drawn, tmp_path, run_tool, channels):
    """They are no error: MMDetection's loader makes three channels of them."""
    shape = (64, 64) if channels == 1 else (64, 64, 4)
    _replace_image(drawn, _encode(np.full(shape, 99, np.uint8)))
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    assert (tmp_path / 'work/epoch_1.pth').is_file()


def test_truncated_image(drawn, wrong):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    name = _replace_image(drawn, _encode(noise, '.jpg')[:-900])
    wrong(f'{name}.*cannot be used.*restore the file')


def test_missing_image(drawn, wrong):
    shutil.rmtree(drawn / 'train2017')
    wrong(r'No such file.*restore the file, or take it out')


def test_classes_that_do_not_fit(wrong):
    wrong(r"metainfo.classes is \['cat', 'dog'\].*has \['ellipse'", '--cfg-options',
          'custom_classes=cat,dog')


def test_head_that_does_not_fit_the_classes(wrong):
    wrong(r'num_classes.*7.*does not matches.*to agree', '--cfg-options',
          'model.bbox_head.num_classes=7')


def test_empty_data_set(drawn, wrong):
    path = drawn / 'annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    path.write_text(json.dumps(dict(content, annotations=[])))
    wrong('leaves no image to use: it lists 6 images with 0 usable')


def test_missing_json(wrong):
    wrong('set data_root and ann_file', '--cfg-options', 'custom_data_root=nowhere')


def test_checkpoint_of_another_arch(config, tmp_path, run_tool, wrong):
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    checkpoint = tmp_path / 'work/epoch_1.pth'
    other = ['--cfg-options', 'model.backbone.grid=1']
    wrong(r'does not fit the model.*patch_embed.proj.weight', *other, command=(
        'test.py', config, checkpoint, '--work-dir', tmp_path / 'test'))
    wrong('does not fit the model', '--resume', *other)
    wrong('Choose the arch it was made for', '--cfg-options',
          'model.backbone.init_cfg.type=Pretrained',
          f'model.backbone.init_cfg.checkpoint={checkpoint}',
          'model.backbone.arch.num_layers=3')
    assert checkpoint.is_file()
