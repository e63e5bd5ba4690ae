"""AP of a detector on recovered pictures, with a small one whose weights are random."""
from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import mmppvit  # noqa: F401, must come before mmdet

# isort: split
from mmppvit.attacks.detector_ap import detector_ap, load_detector
from mmppvit.datasets.drawn_shapes import write_drawn_shapes

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope


@pytest.fixture(scope='module')
def setting(tmp_path_factory) -> SimpleNamespace:
    """Drawn pictures whose boxes are what a detector of random weights finds in them."""
    root = tmp_path_factory.mktemp('detector')
    drawn = write_drawn_shapes(root / 'set', 1, 5, (96, 80))
    ann = json.loads((drawn / 'annotations/instances_val2017.json').read_text())
    classes = tuple(item['name'] for item in ann['categories'])
    config = Path(__file__).resolve().parents[2] / 'configs/coco/atss_pevit-tiny_mix_coco.py'
    cfg = Config.fromfile(str(config))
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=dict(_delete_=True, embed_dims=24, num_layers=1, num_heads=2)),
        neck=dict(in_channels=24), bbox_head=dict(num_classes=len(classes), stacked_convs=1),
        test_cfg=dict(score_thr=0., max_per_img=6))))
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (96, 80)
    cfg.dump(root / 'config.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model)
    for parameter in model.backbone.parameters():
        torch.nn.init.normal_(parameter, std=.2)
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=classes))), root / 'weights.pth')
    detector = load_detector(root / 'config.py', root / 'weights.pth')
    ann['annotations'] = list(_found(detector, drawn / 'val2017', ann))
    (root / 'found.json').write_text(json.dumps(ann))
    return SimpleNamespace(detector=detector, drawn=drawn / 'val2017', ann=root / 'found.json',
                           truth=drawn / 'annotations/instances_val2017.json')


def _found(detector, folder: Path, ann: dict):
    count = 0
    for item in ann['images']:
        found = inference_detector(detector, str(folder / item['file_name'])).pred_instances
        for box, label in zip(found.bboxes.tolist(), found.labels.tolist(), strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            count += 1
            yield dict(id=count, image_id=item['id'], bbox=[x, y, w, h], area=w * h, iscrowd=0,
                       category_id=ann['categories'][label]['id'])


def _pictures(setting: SimpleNamespace) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path)) for path in sorted(setting.drawn.iterdir())}


def test_its_own_boxes_are_found_and_fewer_in_noise(setting):
    score = detector_ap(setting.detector, setting.drawn, setting.ann)
    assert score.ap == pytest.approx(1)
    assert score.ap50 == pytest.approx(1)
    assert score.count == 5
    rng = np.random.default_rng(0)
    noise = {name: rng.integers(0, 256, img.shape, dtype=np.uint8)
             for name, img in _pictures(setting).items()}
    assert detector_ap(setting.detector, noise, setting.ann).ap < .7


def test_originals_in_a_folder_and_in_memory_are_the_same(setting):
    """With another ending of the name, as recovered pictures are written without loss."""
    one = detector_ap(setting.detector, setting.drawn, setting.truth)
    renamed = {f'{Path(name).stem}.webp': img for name, img in _pictures(setting).items()}
    other = detector_ap(setting.detector, renamed, setting.truth)
    assert one == other
    assert 0 <= one.ap <= one.ap50 <= 1


def test_the_boxes_of_smaller_pictures_come_back_to_the_frame_of_the_json(setting):
    """The pipeline brings both to one size, so both are the same picture to the detector."""
    larger = {name: img.repeat(2, 0).repeat(2, 1) for name, img in _pictures(setting).items()}
    assert detector_ap(setting.detector, larger, setting.ann).ap50 > .7


def test_only_the_pictures_that_are_given_count(setting):
    name, img = next(iter(_pictures(setting).items()))
    score = detector_ap(setting.detector, {name: img}, setting.ann)
    assert score.ap == pytest.approx(1)
    assert score.count == 1


def test_interval(setting):
    score = detector_ap(setting.detector, setting.drawn, setting.truth, resamples=20)
    assert 0 <= score.low <= score.high <= 1
    sure = detector_ap(setting.detector, setting.drawn, setting.ann, resamples=20)
    assert (sure.low, sure.high) == (pytest.approx(1), pytest.approx(1))
    assert sure.ap == pytest.approx(1)


def test_what_does_not_fit(setting, tmp_path):
    with pytest.raises(ValueError, match=r"1 of 1 pictures are not in the json, e\.g\. \['x.png'"):
        detector_ap(setting.detector, {'x.png': np.zeros((9, 9, 3), np.uint8)}, setting.ann)
    with pytest.raises(ValueError, match='there is no picture in'):
        detector_ap(setting.detector, tmp_path, setting.ann)
    ann = json.loads(setting.ann.read_text())
    for item in ann['categories']:
        item['name'] += 's'
    (tmp_path / 'ann.json').write_text(json.dumps(ann))
    with pytest.raises(ValueError, match='they have no class in common'):
        detector_ap(setting.detector, setting.drawn, tmp_path / 'ann.json')
