"""The amount of work follows from the speed that was measured."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmppvit.demo.coco_folders import find_split
from mmppvit.demo.work_amount import FEWEST, MOST, choose_epochs
from mmppvit.engine.step_time import _first


@pytest.mark.parametrize(('step', 'steps', 'seconds', 'epochs'), [
    (.1, 160, 150, 8),  # 16 s an epoch: 9.4 fit, less what start-up and evaluation take
    (.05, 160, 150, 17),
    (.1, 160, 300, 17),
    (10, 160, 150, FEWEST),
    (.001, 160, 150, MOST),
])
def test_epochs(step, steps, seconds, epochs):
    assert choose_epochs(step, steps, seconds) == epochs


def test_batches_from_the_start_again():
    assert list(_first([1, 2, 3], 7)) == [1, 2, 3, 1, 2, 3, 1]
    assert list(_first([1, 2, 3], 2)) == [1, 2]


@pytest.mark.parametrize(('files', 'missing'), [
    (['annotations/instances_train2017.json', 'train2017/a.png'], None),
    (['annotations/instances_train.json', 'images/a.png'], None),
    (['annotations/instances_train.json', 'train/a.png'], None),
    (['train2017/a.png'], 'annotations/instances_train2017.json'),
    (['annotations/instances_train2017.json'], 'train2017'),
])
def test_splits(tmp_path, files, missing):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text('{"categories": [{"name": "b"}, {"name": "a"}]}')
    if missing:
        with pytest.raises(FileNotFoundError, match=f'no .*{missing}.*layout of COCO'):
            find_split(tmp_path, 'train')
    else:
        split = find_split(tmp_path, 'train')
        assert split.ann_file == tmp_path / files[0]
        assert split.img_dir == (tmp_path / files[1]).parent
        assert split.classes() == ('b', 'a')


def test_the_config_is_sealed_as_recommended(configs):
    cfg = Config.fromfile(str(configs / 'demo/atss_pevit_sealed_shapes.py'))
    assert cfg.model.type == 'KeyedOrder'
    for name in ('train', 'val', 'test'):
        dataset = cfg[f'{name}_dataloader'].dataset
        assert dataset.type == 'SealedCocoDataset'
        assert 'LoadSealedImage' in [step.type for step in dataset.pipeline]
