"""Run a detector that tools/split_model.py took apart, half by half.

    python tools/run_split.py backbone backbone.safetensors IMAGES --out TOKENS
    python tools/run_split.py head head.safetensors CONFIG TOKENS

The first needs images as the detector sees them (mixed, shuffled) and neither config nor key.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmppvit.cli.console import plain_errors
from mmppvit.sealed.image_files import SUFFIXES
from mmppvit.two_party.split import BackboneHalf, HeadHalf, read_part, write_part
from mmppvit.utils.config_files import load_config

import mmcv
import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    halves = parser.add_subparsers(dest='half', required=True)
    backbone = halves.add_parser('backbone', help='images to token files')
    backbone.add_argument('model', help='file of --backbone-out')
    backbone.add_argument('images', type=Path, nargs='+', help='files, or folders of them')
    backbone.add_argument('--out', type=Path, required=True, help='folder for the token files')
    backbone.add_argument('--batch-size', type=int, default=1,
                          help='images at once, padded to the largest (default: %(default)s)')
    head = halves.add_parser('head', help='token files to detections and their evaluation')
    head.add_argument('model', help='file of --head-out')
    head.add_argument('config', help='config with the test set, its pipeline and its evaluator')
    head.add_argument('tokens', type=Path, help='folder of the token files')
    head.add_argument('--out', help='PREFIX.json: write COCO results (PREFIX.bbox.json, ...)')
    head.add_argument(
        '--cfg-options', nargs='+', action=DictAction,
        help='override the config: key=value, key="[a,b]", key=a,b or key="[(a,b),(c,d)]"')
    args = parser.parse_args()
    if args.half == 'backbone' and args.batch_size < 1:
        parser.error(f'--batch-size {args.batch_size}: must be at least 1')
    if args.half == 'head' and args.out and not args.out.endswith('.json'):
        parser.error(f'--out {args.out}: must end in .json')
    return args


def find_images(paths: Sequence[Path]) -> dict[Path, Path]:
    """Images in and below ``paths``, by the name of their token file below ``--out``."""
    found = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f'no image or folder {path}')
        root = path if path.is_dir() else path.parent
        for file in sorted(path.rglob('*')) if path.is_dir() else [path]:
            if file.suffix.lower() not in SUFFIXES:
                continue
            other = found.setdefault(file.relative_to(root).with_suffix('.safetensors'), file)
            if other != file:
                raise ValueError(f'{other} and {file} would have the same token file: rename one, '
                                 'or give the folder above both')
    if not found:
        raise ValueError(f'no images ({", ".join(sorted(SUFFIXES))}) in '
                         f'{", ".join(map(str, paths))}')
    return found


def read_image(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 in BGR, as MMDetection's loader reads it."""
    img = mmcv.imread(path)
    if img is None:
        raise ValueError(f'{path} is not an image that can be read')
    return img


def run_backbone(args: argparse.Namespace) -> None:
    """A token file for each image; its maps have the padding of the image's batch."""
    half = BackboneHalf.load(args.model).to(get_device())
    images = list(find_images(args.images).items())
    batches = [images[i:i + args.batch_size] for i in range(0, len(images), args.batch_size)]
    for batch in track(batches, 'Backbone'):
        images = [read_image(path) for _, path in batch]
        maps = half(images)
        for i, ((name, path), image) in enumerate(zip(batch, images, strict=True)):
            write_part(args.out / name, 'tokens', {f'map{n}': x[i] for n, x in enumerate(maps)},
                       dict(file_name=path.name, img_shape=image.shape[:2]))
    print(f'{len(images)} token files are in {args.out}')


def find_tokens(folder: Path, img_path: str) -> Path:
    """The token file that has the image's name and as many of its folders as possible."""
    name = Path(img_path).with_suffix('.safetensors')
    parts = name.relative_to(name.anchor).parts
    for start in range(len(parts)):
        path = folder.joinpath(*parts[start:])
        if path.is_file():
            return path
    raise FileNotFoundError(f'no tokens {folder / name.name} of {img_path}: run '
                            'tools/run_split.py backbone on that image first')


def read_tokens(path: Path, sample: DetDataSample) -> list[Tensor]:
    """Maps of (1, D, h, w) of one image of the test set."""
    maps, info = read_part(path, 'tokens')
    if tuple(info['img_shape']) != tuple(sample.img_shape[:2]):
        raise ValueError(
            f'{path} is of an image of {tuple(info["img_shape"])}, but the test pipeline makes '
            f'one of {tuple(sample.img_shape[:2])}: the backbone half must see the images that '
            'the pipeline hands to the detector')
    return [maps[f'map{n}'][None] for n in range(len(maps))]


def build_evaluator(cfg: Config, out: str | None, dataset_meta: dict) -> Evaluator:
    """That of the config; its COCO metrics write under the prefix ``out`` less ``.json``."""
    metrics = cfg.test_evaluator
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        if out and 'Coco' in metric.type:
            metric.outfile_prefix = out[:-len('.json')]
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset_meta
    return evaluator


def run_head(args: argparse.Namespace) -> None:
    """Detections of the config's test set, one image at a time, and its evaluator's numbers."""
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    half = HeadHalf.load(args.model).to(get_device())
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    trained, given = half.dataset_meta.get('classes'), dataset.metainfo.get('classes')
    if trained and list(trained) != list(given or []):
        raise ValueError(f'the head was trained on the classes {trained}, the test set of '
                         f'{args.config} has {list(given or [])}')
    evaluator, used = build_evaluator(cfg, args.out, dataset.metainfo), set()
    for index in track(range(len(dataset)), 'Head'):
        sample = dataset[index]['data_samples']
        path = find_tokens(args.tokens, sample.img_path)
        if path in used:
            raise ValueError(f'{path} is not of {sample.img_path} alone: run tools/run_split.py '
                             'backbone on the folder above all images of the test set')
        used.add(path)
        found = half.predict(read_tokens(path, sample), [sample.metainfo])[0]
        sample.pred_instances = found.pred_instances
        evaluator.process([sample])
    for name, value in evaluator.evaluate(len(dataset)).items():
        print(f'{name}: {value}')


def main() -> None:
    args = parse_args()
    with plain_errors():
        run_backbone(args) if args.half == 'backbone' else run_head(args)


if __name__ == '__main__':
    main()
