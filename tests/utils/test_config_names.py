"""Names of classes and folders reach a config as they are written; several evaluators, too."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmppvit.engine.config_runners import write_coco_results
from mmppvit.utils.config_files import apply_custom_dataset
from mmppvit.utils.config_overrides import parse_overrides


def _config(**options) -> Config:
    dataset = dict(type='CocoDataset', data_root='old/', ann_file='a.json')
    metric = dict(type='CocoMetric', ann_file='old/a.json')
    return Config(dict(
        test_dataloader=dict(dataset=dataset), test_evaluator=metric,
        model=dict(bbox_head=dict(num_classes=80)), **options))


@pytest.mark.parametrize(('text', 'classes'), [
    ('traffic light,red cell', ('traffic light', 'red cell')),
    ('red cell, white cell', ('red cell', 'white cell')),
    ('1', ('1', )), ('0', ('0', )), ('1,2,3', ('1', '2', '3')), ("['1','2']", ('1', '2')),
    ('[1, 2]', ('1', '2')), ('True,None,3.5', ('True', 'None', '3.5')), ('stone', ('stone', )),
    ("('stone',)", ('stone', )), ("['cell, red','cell, white']", ('cell, red', 'cell, white')),
    ('(1)', ('1', )), ("('red cell')", ('red cell', )), ('(red cell)', ('red cell', )),
    ('[red cell,x]', ('red cell', 'x')), ('红细胞,weiß', ('红细胞', 'weiß')),
])
def test_classes(text, classes):
    cfg = apply_custom_dataset(_config(**parse_overrides([f'custom_classes={text}'])))
    assert cfg.test_dataloader.dataset.metainfo.classes == classes
    assert cfg.model.bbox_head.num_classes == len(classes)


@pytest.mark.parametrize(('value', 'classes'), [(1, ('1', )), (0, ('0', )), ([1, 2], ('1', '2'))])
def test_classes_that_a_config_has_as_numbers(value, classes):
    cfg = apply_custom_dataset(_config(custom_classes=value))
    assert cfg.test_dataloader.dataset.metainfo.classes == classes


def test_no_classes():
    cfg = apply_custom_dataset(_config(**parse_overrides(['custom_classes=None'])))
    assert 'metainfo' not in cfg.test_dataloader.dataset


@pytest.mark.parametrize('root', ['my data set', 'a,b', '[v1] (a)', '2024', 'lr=0.1', 'дані 集'])
def test_folders(root):
    cfg = apply_custom_dataset(_config(**parse_overrides([f'custom_data_root={root}'])))
    assert cfg.test_dataloader.dataset.data_root == f'{root}/'
    assert cfg.test_evaluator.ann_file == f'{root}/a.json'


@pytest.mark.parametrize(('text', 'value'), [
    ('my folder/a.json', 'my folder/a.json'), ('1', 1), ('1,2', [1, 2]), ('(1, 2)', (1, 2)),
    ('None', None)])
def test_other_values(text, value):
    assert parse_overrides([f'test_evaluator.ann_file={text}']) == {
        'test_evaluator.ann_file': value}


def _several(*types: str) -> Config:
    cfg = _config()
    cfg.test_evaluator = dict(
        type='MultiDatasetsEvaluator', dataset_prefixes=list(types),
        metrics=[dict(type=name, ann_file='old/a.json') for name in types])
    return cfg


def test_paths_within_several_evaluators():
    cfg = _several('CocoMetric', 'CocoMetric')
    cfg.custom_data_root = 'new'
    apply_custom_dataset(cfg)
    assert [metric.ann_file for metric in cfg.test_evaluator.metrics] == 2 * ['new/a.json']


def test_results_of_several_evaluators():
    cfg = _several('CocoMetric', 'VOCMetric')
    write_coco_results(cfg, 'out.json')
    assert cfg.test_evaluator.metrics[0].outfile_prefix == 'out'
    cfg = _several('CocoMetric', 'CocoMetric')
    write_coco_results(cfg, 'out.json')
    assert [m.outfile_prefix for m in cfg.test_evaluator.metrics] == ['out-1', 'out-2']
    with pytest.raises(ValueError, match=r'--out out\.json: no metric .* writes COCO results'):
        write_coco_results(_several('VOCMetric'), 'out.json')
