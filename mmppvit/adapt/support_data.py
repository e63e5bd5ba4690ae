"""Two images of COCO-mini with every kind of annotation, for the support table."""
from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from pycocotools.coco import COCO

from mmppvit.adapt.config_changes import walk_dicts
from mmppvit.adapt.pipeline_steps import kind_of

__all__ = ['shrink', 'use_images', 'write_images']

SHARE, UNIT = .25, 32  # sides of images in pipelines: share of the stock ones, whole multiples
SMALL = 320  # sides that stay, as those of SSD, whose last maps have one cell
# Sampled boxes, detections, queries.
_FEW = dict(num=64, max_per_img=8, max_per_image=8, num_queries=100, num_proposals=8)
_SIZES = ('scale', 'scales', 'img_scale', 'crop_size', 'size', 'random_size_range', 'border')


def write_images(coco_mini: str | Path, folder: Path, count: int = 2) -> Path:
    """``folder`` with images of ``coco_mini``, boxes, masks, panoptic and semantic maps.

    The maps are made from the instances; pixels of none are stuff.

    Raises:
        FileNotFoundError: There is no COCO-mini.
    """
    source = Path(coco_mini)
    ann = source / 'annotations/instances_train2017.json'
    if not ann.is_file():
        raise FileNotFoundError(f'no {ann}: name the folder of COCO-mini')
    coco = COCO(str(ann))
    chosen = [i for i in coco.getImgIds(catIds=[1]) if len(coco.getAnnIds(i)) > 2][:count]
    for name in ('images', 'annotations/panoptic', 'semantic'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    instances = dict(images=[], annotations=[], categories=coco.dataset['categories'])
    panoptic = dict(images=[], annotations=[], categories=_panoptic_categories())
    for number in chosen:
        info = coco.loadImgs(number)[0]
        anns = [a for a in coco.loadAnns(coco.getAnnIds(number)) if not a.get('iscrowd')]
        (folder / 'images' / info['file_name']).symlink_to(
            (source / 'train2017' / info['file_name']).resolve())
        instances['images'].append(info)
        instances['annotations'] += anns
        panoptic['images'].append(info)
        panoptic['annotations'].append(_write_maps(coco, info, anns, folder))
    (folder / 'annotations/instances.json').write_text(json.dumps(instances))
    (folder / 'annotations/panoptic.json').write_text(json.dumps(panoptic))
    return folder


def _panoptic_categories() -> list[dict]:
    things = [dict(id=i + 1, name=name, isthing=1)
              for i, name in enumerate(CocoDataset.METAINFO['classes'])]
    return [*things, dict(id=200, name='stuff', isthing=0)]


def _write_maps(coco: COCO, info: dict, anns: list[dict], folder: Path) -> dict:
    """Panoptic and semantic PNG of an image; its entry of the panoptic json."""
    ids = np.full((info['height'], info['width']), 1, np.int32)
    semantic = np.full(ids.shape, 80, np.uint8)
    labels = {category: i for i, category in enumerate(coco.getCatIds())}
    segments = [dict(id=1, category_id=200, iscrowd=0, area=1, bbox=[0, 0, 1, 1])]
    for number, ann in enumerate(anns, 2):
        mask = coco.annToMask(ann).astype(bool)
        if not mask.any():
            continue
        ids[mask], semantic[mask] = number, labels[ann['category_id']]
        segments.append(dict(id=number, category_id=labels[ann['category_id']] + 1, iscrowd=0,
                             area=int(mask.sum()), bbox=ann['bbox']))
    stem = Path(info['file_name']).stem
    coded = np.stack([ids >> 16 & 255, ids >> 8 & 255, ids & 255], -1).astype(np.uint8)
    # OpenCV writes BGR, so that the id's low byte is red.
    cv2.imwrite(str(folder / f'annotations/panoptic/{stem}.png'), coded)
    cv2.imwrite(str(folder / f'semantic/{stem}.png'), semantic)
    visible = set(np.unique(ids).tolist())
    return dict(image_id=info['id'], file_name=f'{stem}.png',
                segments_info=[s for s in segments if s['id'] in visible])


def use_images(cfg: Config, folder: Path) -> Config:
    """``cfg`` with every training and test set replaced by the images in ``folder``."""
    cfg = deepcopy(cfg)
    classes = _classes(cfg)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader:
            loader['dataset'] = _replaced(loader['dataset'], folder, classes)
    return cfg


def _classes(cfg: Config) -> tuple[str, ...]:
    counts = [node['num_classes'] for _, node in walk_dicts(cfg.get('model', {}))
              if isinstance(node.get('num_classes'), int) and 'RPN' not in kind_of(node)]
    names = CocoDataset.METAINFO['classes']
    return names[:max(1, min([len(names), *(count for count in counts if count > 0)]))]


def _replaced(dataset: dict, folder: Path, classes: tuple[str, ...]) -> dict:
    if 'dataset' in dataset:
        return dict(dataset, dataset=_replaced(dataset['dataset'], folder, classes))
    if 'datasets' in dataset:
        return dict(dataset, datasets=[_replaced(part, folder, classes)
                                       for part in dataset['datasets']])
    shared = dict(data_root=str(folder), pipeline=dataset.get('pipeline', ()),
                  test_mode=dataset.get('test_mode', False))
    if 'Panoptic' in kind_of(dataset):
        things = CocoDataset.METAINFO['classes']
        return dict(
            shared, type='CocoPanopticDataset', ann_file='annotations/panoptic.json',
            data_prefix=dict(img='images/', seg='annotations/panoptic/'),
            metainfo=dict(classes=(*things, 'stuff'), thing_classes=things,
                          stuff_classes=('stuff', )))
    return dict(
        shared, type='CocoDataset', ann_file='annotations/instances.json',
        data_prefix=dict(img='images/', seg='semantic/'), metainfo=dict(classes=classes))


def shrink(cfg: Config, share: float = SHARE) -> Config:
    """``cfg`` with images of about ``share`` of their sides, and few sampled boxes."""
    plain = cfg.to_dict()
    for path, node in walk_dicts(plain):
        if path[:1] == ('model', ) and 'data_preprocessor' not in path:
            continue
        for key in _SIZES:
            if kind_of(node) and key in node:
                node[key] = _smaller(node[key], share)
    for _, node in walk_dicts(plain.get('model')):
        for key, most in _FEW.items():
            if isinstance(node.get(key), int) and (key != 'num' or 'Sampler' in kind_of(node)):
                node[key] = min(node[key], most)
    return Config(plain)


def _smaller(value, share: float):
    if isinstance(value, (list, tuple)):
        return type(value)(_smaller(item, share) for item in value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SMALL:
        return round(value * share / UNIT) * UNIT
    return value
