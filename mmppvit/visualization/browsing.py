"""What a config's pipeline makes of its images, plain beside encrypted.

Of shuffled images the layout is shown as well, to whoever has the key; boxes belong to it.
"""
from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.registry import DATASETS
from mmdet.structures.bbox import get_box_tensor
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from mmppvit.datasets import CheckedCocoDataset, SealedCocoDataset
from mmppvit.encryption import unshuffle_patches
from mmppvit.utils.config_files import load_config
from mmppvit.utils.leaf_datasets import leaf_datasets
from mmppvit.visualization.image_grid import (
    distinct_colors,
    draw_instances,
    enlarge,
    image_grid,
    save_image,
)

__all__ = ['browse_config']


def browse_config(config: str, split: str, output_dir: Path, num: int,
                  cfg_options: Iterable[str] = (), show: float | None = None) -> Iterator[int]:
    """Draw images of a config's data set, one after the other.

    Args:
        config (str): Config file, or the name of a packaged one.
        split (str): 'train', 'val' or 'test'.
        output_dir (Path): Receives a PNG for each image.
        num (int): Images, at most.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.
        show (float, optional): Seconds that each is shown in a window, where there is a display.

    Yields:
        int: How many there will be, after each.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'{config} has no {split}_dataloader: choose another --split')
    datasets = single_datasets(DATASETS.build(loader.dataset))
    total = min(num, sum(len(dataset) for dataset in datasets))
    window, taken = None if show is None else Window(show), set()
    for stem, image in islice(images(datasets), num):
        path = free_path(output_dir, stem, taken)
        save_image(image, path)
        if window is not None:
            window.show(image, path.name)
        yield total


def single_datasets(dataset) -> list[BaseDataset]:
    """Data sets below wrappers.

    Raises:
        ValueError: A wrapper combines images.
    """
    leaves = list(leaf_datasets(dataset))
    for leaf in leaves:
        if leaf.mixer is not None:
            raise ValueError(f'{type(leaf.mixer).__name__} combines several images into one, which '
                             'this tool cannot take apart: browse the data set inside of it')
    return [leaf.dataset for leaf in leaves]


def encrypts(step: BaseTransform) -> bool:
    """What the step says of itself."""
    return getattr(step, 'encrypts', False)


def run_pipeline(dataset: BaseDataset, index: int) -> list[tuple[str, dict]] | None:
    """Title and results before the first encryption step and after the last one.

    Both come from one pass, so that random augmentation is the same in both. One entry if no
    step encrypts; None if the pipeline drops the image.
    """
    steps = [step for step in dataset.pipeline.transforms
             if not isinstance(step, PackDetInputs)]
    names = [type(step).__name__ for step in steps if encrypts(step)]
    before = 'plain'
    if isinstance(dataset, SealedCocoDataset):
        restored = names and dataset.manifest.scheme.shuffles
        before = 'sealed, layout restored' if restored else 'sealed'
    results, stages, num_done, late = dataset.get_data_info(index), [], 0, None
    if isinstance(dataset, CheckedCocoDataset):
        dataset.check_image(results)
    for step in steps:
        if encrypts(step) and num_done == 0:
            stages.append((before, copy.deepcopy(results)))
        results = step(results)
        if results is None:
            return None
        if type(step) is LoadAnnotations and 'scale_factor' in results:
            late = results  # test pipelines load annotations last, in the frame of the file
        num_done += encrypts(step)
        if encrypts(step) and num_done == len(names):
            stages.append((' + '.join(names), copy.deepcopy(results)))
    stages = stages or [(before, results)]
    if late is not None:
        set_annotations([stage for _, stage in stages], late)
    return [*show_layout(*stages[0]), *((title, less_boxes(stage)) for title, stage in stages[1:])]


def show_layout(title: str, results: dict) -> list[tuple[str, dict]]:
    """The stage; of a shuffled image its layout with the boxes, and the image without."""
    if 'patch_order' not in results:
        return [(title, results)]
    side = results['sealed']['patch_size'] // results['sealed']['grid']
    layout = dict(results, img=unshuffle_patches(results['img'], side, results['patch_order']))
    return [(f'{title}, layout restored', layout), (title, less_boxes(results))]


def less_boxes(results: dict) -> dict:
    """Without boxes and masks if the image is shuffled: they belong to its layout."""
    if 'patch_order' not in results:
        return results
    return {key: value for key, value in results.items() if not key.startswith('gt_')}


def set_annotations(stages: list[dict], source: dict) -> None:
    """Give each stage the boxes of ``source``, brought from the frame of the file to its own."""
    in_file, labels = copy.deepcopy(source['gt_bboxes']), source['gt_bboxes_labels']
    for stage in stages:
        boxes = copy.deepcopy(in_file)
        boxes.rescale_(stage.get('scale_factor', (1., 1.)))
        stage.update(gt_bboxes=boxes, gt_bboxes_labels=labels)
        stage.pop('gt_masks', None)


def draw_stage(results: dict, metainfo: dict, size: tuple[int, int]) -> np.ndarray:
    """Image, boxes and masks of one stage as RGB uint8, pixels enlarged to ``size``."""
    img = np.ascontiguousarray(np.clip(results['img'], 0, 255).astype(np.uint8)[..., ::-1])
    scale = np.array([size[0] / img.shape[1], size[1] / img.shape[0]] * 2)
    labels = results.get('gt_bboxes_labels', np.zeros(0, int))
    boxes = np.zeros((0, 4))
    if len(labels):
        boxes = get_box_tensor(results['gt_bboxes']).numpy() * scale
    masks = results.get('gt_masks')
    if masks is not None:
        masks = [enlarge(mask, size) for mask in masks.to_ndarray()]
    classes = metainfo['classes']
    palette = metainfo.get('palette') or ()
    if len(palette) < len(classes):
        palette = distinct_colors(len(classes))
    return draw_instances(enlarge(img, size), boxes, [classes[k] for k in labels],
                          [tuple(palette[k]) for k in labels], masks)


def side_by_side(stages: list[tuple[str, dict]], metainfo: dict) -> np.ndarray:
    """All stages at the scale of the first, RGB uint8."""
    first = stages[0][1]
    first_scale = np.array(first.get('scale_factor', (1., 1.)))
    first_scale = first_scale * first.get('sealed', {}).get('grid', 1)  # not smaller than plain
    titles, panels = [], []
    for title, results in stages:
        height, width = results['img'].shape[:2]
        # What padding added stays visible, as it is part of what the model sees.
        zoom = first_scale / results.get('scale_factor', (1., 1.))
        size = (round(width * zoom[0]), round(height * zoom[1]))
        panels.append(draw_stage(results, metainfo, size))
        titles.append(f'{title}, {width}x{height}')
    return image_grid([panels], titles)


def images(datasets: list[BaseDataset]) -> Iterator[tuple[str, np.ndarray]]:
    """File name and drawn image of every item, data set by data set."""
    for dataset in datasets:
        for index in range(len(dataset)):
            stages = run_pipeline(dataset, index)
            if stages is not None:
                yield Path(stages[0][1]['img_path']).stem, side_by_side(stages, dataset.metainfo)


def free_path(folder: Path, stem: str, taken: set[Path]) -> Path:
    """``folder/stem.png``, or a numbered one if another data set has a file of that name."""
    path, number = folder / f'{stem}.png', 1
    while path in taken:
        number += 1
        path = folder / f'{stem}_{number}.png'
    taken.add(path)
    return path


class Window:
    """Shows images where there is a display, and does nothing elsewhere."""

    def __init__(self, seconds: float) -> None:
        from matplotlib import pyplot
        self.seconds, self.pyplot = seconds, pyplot
        self.works = pyplot.get_backend().lower() != 'agg'

    def show(self, img: np.ndarray, title: str) -> None:
        if self.works:
            self.pyplot.clf()
            self.pyplot.imshow(img)
            self.pyplot.axis('off')
            self.pyplot.title(title)
            self.pyplot.pause(self.seconds)
