"""The two halves of a divided detector at work: images to token files, and these to detections."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from torch import Tensor

from mmppvit.engine.config_runners import write_coco_results
from mmppvit.sealed import read_plain
from mmppvit.sealed.image_files import SUFFIXES
from mmppvit.two_party.split import BackboneHalf, HeadHalf, read_part, write_part
from mmppvit.utils.config_files import load_config

__all__ = ['run_backbone', 'run_head']

Progress = Callable[[int, int], None]


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
    """(H, W, 3) uint8 in BGR, as MMDetection's loader reads it; it may come from another party."""
    try:
        return read_plain(path).img
    except OSError as err:
        raise ValueError(f'{path} is not an image that can be read: {err}') from None


def run_backbone(model: Path, images: Sequence[Path], out: Path, batch_size: int = 1,
                 progress: Progress = lambda done, total: None) -> int:
    """Write a token file for each image; its maps have the padding of the image's batch.

    Args:
        model (Path): The backbone's file.
        images (Sequence[Path]): Images as the detector sees them, or folders of them.
        out (Path): Folder for the token files.
        batch_size (int): Images at once, padded to the largest.
        progress (Callable): Called with the images done and their total.

    Returns:
        int: How many.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: There are no images, one cannot be read, or two have the same name.
    """
    half = BackboneHalf.load(model).to(get_device())
    found = list(find_images(images).items())
    for start in range(0, len(found), batch_size):
        batch = found[start:start + batch_size]
        arrays = [read_image(path) for _, path in batch]
        maps = half(arrays)
        for i, ((name, path), array) in enumerate(zip(batch, arrays, strict=True)):
            write_part(out / name, 'tokens', {f'map{n}': x[i] for n, x in enumerate(maps)},
                       dict(file_name=path.name, img_shape=array.shape[:2]))
        progress(start + len(batch), len(found))
    return len(found)


def find_tokens(folder: Path, img_path: str) -> Path:
    """The token file that has the image's name and as many of its folders as possible."""
    name = Path(img_path).with_suffix('.safetensors')
    parts = name.relative_to(name.anchor).parts
    for start in range(len(parts)):
        path = folder.joinpath(*parts[start:])
        if path.is_file():
            return path
    raise FileNotFoundError(f'no tokens {folder / name.name} of {img_path}: run '
                            '`mmppvit run-split backbone` on that image first')


def read_tokens(path: Path, sample: DetDataSample) -> list[Tensor]:
    """Maps of (1, D, h, w) of one image of the test set."""
    maps, info = read_part(path, 'tokens')
    shape = info.get('img_shape')
    if shape != list(sample.img_shape[:2]):
        raise ValueError(
            f'{path} is of an image of {shape}, but the test pipeline makes '
            f'one of {list(sample.img_shape[:2])}: the backbone half must see the images that '
            'the pipeline hands to the detector')
    names = [f'map{n}' for n in range(len(maps))]
    if set(names) != set(maps):
        raise ValueError(f'{path} has the tensors {sorted(maps)[:5]}, expected {names[:5]}')
    return [maps[name][None] for name in names]


def run_head(model: Path, config: str, tokens: Path, out: str | None = None,
             cfg_options: Iterable[str] = (), progress: Progress = lambda done, total: None
             ) -> dict[str, float]:
    """Detections of the config's test set, one image at a time.

    Args:
        model (Path): The head's file.
        config (str): Config with the test set, its pipeline and its evaluator.
        tokens (Path): Folder of the token files.
        out (str, optional): PREFIX.json, for COCO results.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.
        progress (Callable): Called with the images done and their total.

    Returns:
        dict[str, float]: The evaluator's numbers.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The parts do not belong together.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    part = read_part(model, 'head')  # before a data set that may take long
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    classes = dataset.metainfo.get('classes') or ()
    half = HeadHalf.from_part(*part, model, cfg.model, classes).to(get_device())
    if out:
        write_coco_results(cfg, out)
    evaluator, used = Evaluator(cfg.test_evaluator), set()
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        path = find_tokens(tokens, sample.img_path)
        if path in used:
            raise ValueError(f'{path} is not of {sample.img_path} alone: run `mmppvit run-split '
                             'backbone` on the folder above all images of the test set')
        used.add(path)
        found = half.predict(read_tokens(path, sample), [sample.metainfo])[0]
        sample.pred_instances = found.pred_instances
        evaluator.process([sample])
        progress(index + 1, len(dataset))
    return evaluator.evaluate(len(dataset))
