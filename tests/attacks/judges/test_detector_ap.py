"""AP of a detector on reconstructed images, with a small one whose weights are random."""
from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import mmppvit.register  # noqa: F401

# isort: split
import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmppvit.attacks.attackers.interface import Pair
from mmppvit.attacks.judges.detector_ap import (
    VictimDetector,
    detector_ap,
    load_detector,
)
from mmppvit.attacks.judges.judge_list import JudgeFiles
from mmppvit.attacks.judges.plain_boxes import image_ids, read_plain_boxes, victim_boxes
from mmppvit.datasets import MixSubPatches
from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import make_scheme, pad_to_patches
from mmppvit.sealed import SealJob, seal_dataset


@pytest.fixture(scope='module')
def setting(tmp_path_factory) -> SimpleNamespace:
    """Synthetic images whose boxes are what a detector of random weights finds in them."""
    root = tmp_path_factory.mktemp('detector')
    drawn = write_synthetic_shapes(root / 'set', 1, 5, (96, 80))
    ann = json.loads((drawn / 'annotations/instances_val2017.json').read_text())
    classes = tuple(item['name'] for item in ann['categories'])
    config = Path(__file__).resolve().parents[3] / 'configs/bccd/atss_pevit-tiny_plain_bccd.py'
    cfg = Config.fromfile(str(config))
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=dict(_delete_=True, embed_dims=24, num_layers=1, num_heads=2)),
        neck=dict(in_channels=24), bbox_head=dict(num_classes=len(classes), stacked_convs=1),
        test_cfg=dict(score_thr=0., max_per_img=6))))
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (96, 80)
    cfg.custom_classes = classes
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
                           truth=drawn / 'annotations/instances_val2017.json',
                           config=root / 'config.py', weights=root / 'weights.pth')


def _found(detector, folder: Path, ann: dict):
    count = 0
    for item in ann['images']:
        found = inference_detector(detector, str(folder / item['file_name'])).pred_instances
        for box, label in zip(found.bboxes.tolist(), found.labels.tolist(), strict=True):
            x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
            count += 1
            yield dict(id=count, image_id=item['id'], bbox=[x, y, w, h], area=w * h, iscrowd=0,
                       category_id=ann['categories'][label]['id'])


def _images(setting: SimpleNamespace) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path)) for path in sorted(setting.drawn.iterdir())}


def test_its_own_boxes_are_found_and_fewer_in_noise(setting):
    score = detector_ap(setting.detector, setting.drawn, setting.ann)
    assert score.ap == pytest.approx(1)
    assert score.ap50 == pytest.approx(1)
    assert score.count == 5
    rng = np.random.default_rng(0)
    noise = {name: rng.integers(0, 256, img.shape, dtype=np.uint8)
             for name, img in _images(setting).items()}
    assert detector_ap(setting.detector, noise, setting.ann).ap < .7


def test_originals_in_a_folder_and_in_memory_are_the_same(setting):
    """With another ending of the name, as reconstructed images are written without loss."""
    one = detector_ap(setting.detector, setting.drawn, setting.truth)
    renamed = {f'{Path(name).stem}.webp': img for name, img in _images(setting).items()}
    other = detector_ap(setting.detector, renamed, setting.truth)
    assert one == other
    assert 0 <= one.ap <= one.ap50 <= 1


def test_the_boxes_of_smaller_images_come_back_to_the_frame_of_the_json(setting):
    """The pipeline brings both to one size, so both are the same image to the detector."""
    larger = {name: img.repeat(2, 0).repeat(2, 1) for name, img in _images(setting).items()}
    assert detector_ap(setting.detector, larger, setting.ann).ap50 > .7


def test_only_the_images_that_are_given_count(setting):
    name, img = next(iter(_images(setting).items()))
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
    with pytest.raises(ValueError, match=r"1 of 1 images are not in the json, e\.g\. \['x.png'"):
        detector_ap(setting.detector, {'x.png': np.zeros((9, 9, 3), np.uint8)}, setting.ann)
    name, img = next(iter(_images(setting).items()))
    with pytest.raises(ValueError, match='are the same image of the json'):
        detector_ap(setting.detector, {name: img, f'again/{name}': img}, setting.ann)
    with pytest.raises(ValueError, match='there is no image in'):
        detector_ap(setting.detector, tmp_path, setting.ann)
    ann = json.loads(setting.ann.read_text())
    for item in ann['categories']:
        item['name'] += 's'
    (tmp_path / 'ann.json').write_text(json.dumps(ann))
    with pytest.raises(ValueError, match='they have no class in common'):
        detector_ap(setting.detector, setting.drawn, tmp_path / 'ann.json')


# --- victims -------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def sealed_set(setting, tmp_path_factory) -> Path:
    """Images of 96x80 that were rescaled to 86x72 and padded to 96x80 again."""
    folder = tmp_path_factory.mktemp('victims') / 'sealed'
    seal_dataset(SealJob(setting.drawn, folder, make_scheme('mix'), setting.truth,
                         scales=((86, 72), )))
    return folder


def _victims(setting: SimpleNamespace) -> list[Pair]:
    return [Pair(name, np.zeros((40, 48, 3), np.uint8),
                 pad_to_patches(cv2.resize(img, (86, 72)), 16))
            for name, img in _images(setting).items()]


def test_padding_is_cut_before_victims_are_scored(setting, sealed_set, monkeypatch):
    """What lies in it changes nothing, and the score is that of the images without."""
    monkeypatch.setattr('mmppvit.attacks.judges.detector_ap.RESAMPLES', 20)
    victims = _victims(setting)
    judge = VictimDetector(setting.detector, read_plain_boxes(setting.ann), sealed_set, 0, victims)
    assert judge.sizes == [(86, 72)] * 5
    score = judge([victim.plain for victim in victims])
    assert set(score) == {'mean', 'low', 'high', 'ap50', 'count'}
    assert 0 <= score['low'] <= score['high'] <= 1
    bare = {victim.name: cv2.resize(img, (86, 72)) for victim, img in
            zip(victims, _images(setting).values(), strict=True)}
    assert score['mean'] == detector_ap(setting.detector, bare, setting.ann).ap > 0
    spoilt = [victim.plain.copy() for victim in victims]
    for img in spoilt:
        img[72:], img[:, 86:] = 255, 0
    assert judge(spoilt) == score


def test_boxes_of_victims_are_in_the_frame_of_the_plain_image_at_the_sealed_scale(setting,
                                                                                 sealed_set):
    truth = read_plain_boxes(setting.ann)
    names = [victim.name for victim in _victims(setting)]
    boxes = victim_boxes(truth, sealed_set, 0, names, truth.cats)
    assert sum(map(len, boxes)) == len(truth.anns)
    for index, found in zip(image_ids(truth, names).values(), boxes, strict=True):
        for item, (x1, y1, x2, y2) in zip(truth.imgToAnns[index], found, strict=True):
            x, y, w, h = item['bbox']
            assert (x1, y1) == pytest.approx((x * 86 / 96, y * 72 / 80))
            assert (x2, y2) == pytest.approx(((x + w) * 86 / 96, (y + h) * 72 / 80))
    assert victim_boxes(truth, sealed_set, 0, names, ()) == [[]] * 5


def test_boxes_alone_are_for_the_judge_of_text(setting):
    """They are a mistake where nobody asked for text."""
    with pytest.raises(ValueError, match='--detector and --checkpoint missing'):
        VictimDetector.from_files(None, None, JudgeFiles(ann=[setting.ann], judges='faces'))
    assert VictimDetector.from_files(
        None, None, JudgeFiles(ann=[setting.ann], judges='text')) is None


def test_victims_that_do_not_fit(setting, sealed_set, tmp_path):
    ann = json.loads(setting.ann.read_text())
    victims = _victims(setting)
    ann['images'][0]['width'] += 1
    (tmp_path / 'wide.json').write_text(json.dumps(ann))
    with pytest.raises(ValueError, match='is 96x80, its json says 97x80'):
        VictimDetector(setting.detector, read_plain_boxes(tmp_path / 'wide.json'), sealed_set, 0,
                       victims)
    ann['images'].pop(0)
    ann['annotations'] = []
    (tmp_path / 'few.json').write_text(json.dumps(ann))
    with pytest.raises(ValueError, match='1 of 5 images are not in the json'):
        VictimDetector(setting.detector, read_plain_boxes(tmp_path / 'few.json'), sealed_set, 0,
                       victims)


@pytest.mark.parametrize('kind', ['MixSubPatches', 'mmdet.MixSubPatches', MixSubPatches,
                                  'GaussianBlurImage', 'LoadSealedImage', 'ReadSeal'])
def test_a_detector_of_encrypted_images_is_refused(setting, sealed_set, monkeypatch, kind):
    """Whichever step does it, and however the config names it."""
    cfg = copy.deepcopy(setting.detector.cfg)
    cfg.test_dataloader.dataset.pipeline.insert(2, dict(type=kind))
    monkeypatch.setattr(setting.detector, 'cfg', cfg)
    name = getattr(kind, '__name__', kind).removeprefix('mmdet.')
    with pytest.raises(ValueError, match=f'its test pipeline has {name}: give one'):
        VictimDetector(setting.detector, read_plain_boxes(setting.ann), sealed_set, 0,
                       _victims(setting))


def test_names_are_taken_literally_and_in_any_spelling(tmp_path):
    """Those of files on the left, those of the json on the right."""
    spellings = {'a[1]*.jpg': 'a[1]*.jpg', 'x:y?.jpg': './x:y?.jpg', 'sub/b.png': 'sub\\b.png',
                 'sub/c.png': 'sub//c.jpg', '\u00e9.jpg': 'e\u0301.jpg', 'a b.jpg': 'a%20b.jpg',
                 'b.png': 'other\\b.webp'}
    ann = tmp_path / '[a]*:.json'
    ann.write_text(json.dumps(dict(categories=[dict(id=1, name='a')], annotations=[], images=[
        dict(id=i, file_name=name, width=9, height=8)
        for i, name in enumerate(spellings.values())])))
    found = image_ids(read_plain_boxes(ann), list(spellings)[:-1])
    assert list(found.values()) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match=r"not in the json, e.g. \['a\[2\]\*.jpg'\]"):
        image_ids(read_plain_boxes(ann), ['a[2]*.jpg'])
