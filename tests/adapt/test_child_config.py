"""Written configs read back as what they were made from, and are short."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmppvit.adapt import adapt_stock, write_child_config
from mmppvit.adapt.python_text import as_node, render
from mmppvit.cli.app import main

NAMES = [
    'retinanet/retinanet_r50_fpn_1x_coco', 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco', 'yolox/yolox_s_8xb8-300e_coco',
    'rtmdet/rtmdet-ins_tiny_8xb32-300e_coco', 'dino/dino-4scale_r50_8xb2-12e_coco',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco',
    'pascal_voc/retinanet_r50_fpn_1x_voc0712', 'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
]


@pytest.mark.parametrize('name', NAMES)
def test_it_reads_back(name, tmp_path):
    """The writer compares by itself and raises; nothing else is left in the folder."""
    base = f'mmdet::{name}.py'
    adapted = adapt_stock(base)
    write_child_config(adapted, tmp_path / 'child.py', base, 'A config.')
    text = (tmp_path / 'child.py').read_text()
    assert [path.name for path in tmp_path.iterdir()] == ['child.py']
    assert text.startswith('# A config.\n_base_ = ')
    assert max(map(len, text.splitlines())) <= 100
    assert Config.fromfile(tmp_path / 'child.py').model.backbone.type == 'PEViT' \
        if 'soft' not in name else True


def test_retinanet_fits_on_a_screen(tmp_path):
    base = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    write_child_config(adapt_stock(base), tmp_path / 'child.py', base)
    text = (tmp_path / 'child.py').read_text()
    assert len(text.splitlines()) < 60
    assert '[*_base_.train_pipeline[:4], *encrypt, _base_.train_pipeline[-1]]' in text
    assert '# Pixels of the mixed image: 1/2 of the usual ones.' in text


def test_a_base_in_a_file_and_another_folder(tmp_path):
    (tmp_path / 'stock.py').write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\nmodel = dict(bbox_head=dict("
        'num_classes=3))\n')
    out = tmp_path / 'made/child.py'
    write_child_config(adapt_stock(str(tmp_path / 'stock.py')), out, str(tmp_path / 'stock.py'))
    assert "_base_ = '../stock.py'" in out.read_text()
    assert Config.fromfile(out).model.bbox_head.num_classes == 3


def test_inline_has_no_base(tmp_path):
    base = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    write_child_config(adapt_stock(base), tmp_path / 'whole.py', base, inline=True)
    text = (tmp_path / 'whole.py').read_text()
    assert '_base_ =' not in text
    assert '#   model.bbox_head.anchor_generator.strides: Pixels' in text


@pytest.mark.parametrize('value', [
    dict(a=1, b=[1, 2.5, 'x'], c=dict(d=(1, ), e=None)), {'not a name': 1, 'class': [2]},
    [dict(type='Resize', scale=[(s, s) for s in range(480, 801, 32)])] * 3, (), [], {}, 'it\'s'])
def test_source_evaluates_to_the_value(value):
    text = render(as_node(value, {}))
    assert eval(text) == value
    assert max(map(len, text.splitlines())) <= 100


def test_the_command_writes_a_config(tmp_path, capsys):
    out = tmp_path / 'made.py'
    assert main(['adapt', 'mmdet::yolox/yolox_s_8xb8-300e_coco.py', '--arch', 'tiny', '-o',
                 str(out)]) == 0
    assert 'RandomChoiceResize' in capsys.readouterr().out
    assert Config.fromfile(out).model.backbone.arch == 'tiny'


@pytest.mark.parametrize(('args', 'message'), [
    (['mmdet::nowhere.py'], 'no config nowhere.py'),
    (['mmdet::ld/ld_r50-gflv1-r101_fpn_1x_coco.py'], 'teacher'),
    (['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', '--scheme', 'mix+shuffle'], 'keygen')])
def test_refusals_are_one_line(args, message, tmp_path, capsys):
    assert main(['adapt', *args, '-o', str(tmp_path / 'made.py')]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / 'made.py').exists()
