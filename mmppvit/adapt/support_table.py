"""Which of MMDetection's architecture folders can be adapted: a table made by running them."""
from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import mmdet
import torch
from mmdet.utils import register_all_modules

from mmppvit.adapt.support_data import SHARE, write_images
from mmppvit.adapt.support_runs import limited, try_config
from mmppvit.utils.atomic import write_atomic

__all__ = ['SAMPLE', 'Row', 'as_markdown', 'folders', 'read_table', 'run_folders', 'write_table']

SECONDS, GIGABYTES = 240., 12.  # of the CPU and of address space, for one folder
# Shares of the sides of images, where those of the others give too few candidates.
_SHARES = {'paa': .6}
# No architectures: parts of configs, and the same models with another file format.
_NO_ARCHITECTURE = {'_base_', 'common', 'dsdl'}
# The shortest name with a ResNet-50 stands for its folder, but for these.
_CHOSEN = {
    'bytetrack': 'bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval',
    'cascade_rpn': 'cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
    'centernet': 'centernet_r18_8xb16-crop512-140e_coco',
    'dcn': 'faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco',
    'dcnv2': 'faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco',
    'detectors': 'detectors_htc-r50_1x_coco',
    'faster_rcnn': 'faster-rcnn_r50_fpn_1x_coco',
    'guided_anchoring': 'ga-retinanet_r50_fpn_1x_coco',
    'libra_rcnn': 'libra-faster-rcnn_r50_fpn_1x_coco',
    'mask2former': 'mask2former_r50_8xb2-lsj-50e_coco-panoptic',
    'mm_grounding_dino': 'grounding_dino_swin-t_pretrain_obj365',
    'nas_fpn': 'retinanet_r50_nasfpn_crop640-50e_coco',
    'rtmdet': 'rtmdet-ins_tiny_8xb32-300e_coco',
    'ssd': 'ssd300_coco',
    'strongsort': 'strongsort_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_test-mot17halfval',
    'sort': 'sort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval',
    'yolo': 'yolov3_d53_8xb8-320-273e_coco',
    'yolox': 'yolox_s_8xb8-300e_coco',
}
PAGE = """# What can be adapted

One config of each architecture folder of MMDetection 3.3, adapted by `mmppvit adapt` with a tiny
PEViT, built, and run on two images of COCO-mini, at a fourth of the size (PAA: at .6): losses and
gradients, checked by `StrideGuardHook`, then predictions. `make adapt-support` writes this page.
A config that fails is run as MMDetection has it, to know whether that runs on this machine: one
core of an AMD EPYC Milan, torch 2.13 for CPUs, mmcv-lite, no network; scikit-learn, panopticapi
(from its repository), albumentations 1.3.1 and instaboostfast were installed; 2026-11-26. What an
adapted folder keeps is its detector, neck and data; the backbone is a PEViT. Sampled boxes,
queries and detections are few, for speed.

"""
# Run in every test; different in what has to be adapted, and quick.
SAMPLE = ('retinanet', 'fcos', 'yolox', 'detr')


def folders() -> dict[str, str]:
    """Config that stands for each of MMDetection's architecture folders."""
    root = Path(mmdet.__path__[0], '.mim', 'configs')
    found = {}
    for folder in sorted(root.iterdir()):
        names = sorted(path.stem for path in folder.glob('*.py'))
        if folder.name in _NO_ARCHITECTURE or not names:
            continue
        chosen = _CHOSEN.get(folder.name)
        if chosen not in names:
            chosen = min(names, key=lambda name: ('r50' not in name, len(name), name))
        found[folder.name] = f'mmdet::{folder.name}/{chosen}.py'
    return found


@dataclass(frozen=True)
class Row:
    """A folder of the table: its config, and what became of that."""
    folder: str
    config: str
    state: str
    detail: str


def run_folders(coco_mini: str | Path, names: Iterable[str] | None = None,
                report: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Run the config of each folder, one process at a time.

    Args:
        coco_mini (str | Path): Folder of COCO-mini.
        names (Iterable[str], optional): Folders; all if not given.
        report (Callable): Called with each row.

    Raises:
        ValueError: MMDetection has no such folder.
    """
    register_all_modules()
    torch.set_num_threads(1)
    chosen = folders()
    unknown = [name for name in names or () if name not in chosen]
    if unknown:
        raise ValueError(f'MMDetection has no architecture folder {unknown[0]}')
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        data = write_images(coco_mini, Path(scratch))
        for name in names if names is not None else chosen:
            outcome = limited(try_config, chosen[name], data, False, _SHARES.get(name, SHARE),
                              seconds=SECONDS, gigabytes=GIGABYTES)
            rows.append(Row(name, Path(chosen[name]).stem, outcome.state, outcome.detail))
            report(rows[-1])
    return rows


_STATES = dict(works='works', refused='refused', stock='stock does not run here', fails='fails')


def as_markdown(rows: Iterable[Row]) -> str:
    """The table of the documentation, and how many there are of each state."""
    rows = list(rows)
    counts = Counter(row.state for row in rows)
    total = ', '.join(f'{counts[state]} {text}' for state, text in _STATES.items()
                      if counts[state])
    lines = [f'{len(rows)} of {len(folders())} folders were run: {total}.', '',
             '| folder | config | result | losses, or why |', '|---|---|---|---|']
    for row in rows:
        detail = row.detail.replace('|', '\\|')
        lines.append(f'| {row.folder} | {row.config} | {_STATES[row.state]} | {detail} |')
    return '\n'.join(lines) + '\n'


def read_table(path: str | Path) -> dict[str, Row]:
    """Rows of a CSV by folder; none if there is no such file."""
    if not Path(path).is_file():
        return {}
    with open(path, newline='') as file:
        return {cells['folder']: Row(**cells) for cells in csv.DictReader(file)}


def write_table(path: str | Path, rows: Iterable[Row]) -> None:
    """``path`` as CSV, in the order of folders, and a page of the same name beside it."""
    rows = sorted(rows, key=lambda row: row.folder)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([field.name for field in fields(Row)])
    writer.writerows(astuple(row) for row in rows)
    write_atomic(path, text.getvalue().encode())
    write_atomic(Path(path).with_suffix('.md'), (PAGE + as_markdown(rows)).encode())
