"""Time and memory of transforms, sealed data sets and backbone, each beside its baseline.

    python tools/benchmark.py transforms --threads 1 --out benchmarks/transforms.csv
    python tools/benchmark.py sealed --threads 1 --out benchmarks/sealed.csv
    python tools/benchmark.py backbone --threads 2 --out benchmarks/backbone.csv
    python tools/benchmark.py backbone --device cuda --amp --out benchmarks/backbone_gpu.csv

Candidate and baseline take turns in one process, so that a machine that slows down slows both;
``ratio`` is the median of their ratios turn by turn, below 1 where the candidate is faster.
"""
from __future__ import annotations

import argparse
import csv
import datetime
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mmppvit  # noqa: F401, must come before timm and mmdet
from mmppvit.encryption import Key, Scheme, center_patches, mix_sub_patches, shuffle_patches
from mmppvit.models import PEViT
from mmppvit.sealed import Manifest, SealedPicture, SealJob
from mmppvit.sealed.pictures import write_atomic
from mmppvit.sealed.sources import Source
from mmppvit.sealed.writer import seal_picture

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.table import Table
from timm import create_model
from timm.layers import set_fused_attn

MIB = 2**20
COLUMNS = ('suite', 'case', 'shape', 'ms_median', 'ms_p10', 'ms_p90', 'peak_mib', 'baseline',
           'baseline_ms', 'baseline_peak_mib', 'ratio', 'device', 'cpu', 'threads', 'python',
           'torch', 'numpy', 'date')


@dataclass
class Case:
    """A candidate and its baseline; both are picklable and return what is to be timed."""
    name: str
    shape: str
    candidate: Callable[[], Callable[[], object]]
    baseline_name: str
    baseline: Callable[[], Callable[[], object]]


# --- transforms ---------------------------------------------------------------------------------


def transform_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Mixing against plain NumPy, and pipelines with it against those without."""
    height, width = (96, 96) if args.quick else (800, 1344)
    for patch, grid in ((16, 2), (16, 4), (32, 4), (24, 3)):
        shape = (height // patch * patch, width // patch * patch, 3)
        yield Case(f'mix_sub_patches P{patch} g{grid}', 'x'.join(map(str, shape)),
                   partial(make_mix, mix_sub_patches, shape, patch, grid), 'NumPy mean',
                   partial(make_mix, mix_naively, shape, patch, grid))
    for side in (16, 8):
        shape = (height // 16 * side, width // 16 * side, 3)
        text = 'x'.join(map(str, shape))
        yield Case(f'shuffle_patches of {side} pixels', text,
                   partial(make_shuffle, shuffle_patches, shape, side), 'NumPy transpose',
                   partial(make_shuffle, shuffle_naively, shape, side))
        for normalize in (False, True):
            yield Case(f'center_patches of {side} pixels{", normalize" * normalize}', text,
                       partial(make_center, center_patches, shape, side, normalize),
                       'NumPy mean', partial(make_center, center_naively, shape, side, normalize))
    with tempfile.TemporaryDirectory() as folder:
        path, shape = find_image(folder, args.quick)
        for name, steps in (('load, mix, pack', []), ('load, resize, mix, pack', [
                dict(type='Resize', scale=(1333, 800), keep_ratio=True)])):
            yield Case(name, shape, partial(make_pipeline, path, [
                *steps, dict(type='MixSubPatches', patch_size=16, grid=2)]),
                       'the same without mixing', partial(make_pipeline, path, steps))


def mix_naively(img: np.ndarray, patch: int, grid: int) -> np.ndarray:
    """What one would write first."""
    (height, width, channels), side = img.shape, patch // grid
    parts = img.reshape(height // patch, grid, side, width // patch, grid, side, channels)
    mixed = np.rint(parts.mean((1, 4))).astype(np.uint8)
    return mixed.reshape(height // grid, width // grid, channels)


def make_mix(mix: Callable, shape: tuple[int, ...], patch: int, grid: int) -> Callable:
    img = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return partial(mix, img, patch, grid)


def shuffle_naively(img: np.ndarray, side: int, order: np.ndarray) -> np.ndarray:
    """What one would write first."""
    height, width, channels = img.shape
    patches = img.reshape(height // side, side, width // side, side, channels).swapaxes(1, 2)
    shuffled = patches.reshape(-1, side, side, channels)[order].reshape(patches.shape)
    return shuffled.swapaxes(1, 2).reshape(img.shape)


def make_shuffle(shuffle: Callable, shape: tuple[int, ...], side: int) -> Callable:
    rng = np.random.default_rng(0)
    order = rng.permutation(shape[0] // side * (shape[1] // side))
    return partial(shuffle, rng.integers(0, 256, shape, dtype=np.uint8), side, order)


def center_naively(img: np.ndarray, side: int, strength: float, normalize: bool) -> np.ndarray:
    """What one would write first."""
    height, width, channels = img.shape
    parts = img.reshape(height // side, side, width // side, side, channels)
    rest = parts - parts.mean((1, 3), keepdims=True)
    if normalize:
        rest *= 40 / (np.sqrt(np.square(rest).mean((1, 3, 4), keepdims=True)) + 8)
    return np.clip(np.rint(rest + 128), 0, 255).astype(np.uint8).reshape(img.shape)


def make_center(center: Callable, shape: tuple[int, ...], side: int, normalize: bool) -> Callable:
    img = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return partial(center, img, side, 1., normalize)


def find_image(folder: str, quick: bool) -> tuple[str, str]:
    """A picture of COCO where MMPPVIT_DATA has some, else a drawn JPEG of COCO's size."""
    found = sorted(Path(os.environ.get('MMPPVIT_DATA', 'data')).glob('coco_mini/val2017/*.jpg'))
    if found and not quick:
        height, width = cv2.imread(str(found[0])).shape[:2]
        return str(found[0]), f'{height}x{width}x3'
    height, width = (64, 96) if quick else (480, 640)
    coarse = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    path = str(Path(folder, 'drawn.jpg'))
    cv2.imwrite(path, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return path, f'{height}x{width}x3'


def make_pipeline(path: str, steps: list[dict]) -> Callable:
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose([
            dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            *steps, dict(type='PackDetInputs', meta_keys=('img_path', 'scale_factor'))])
    instance = dict(bbox=[10, 20, 50, 60], bbox_label=1, ignore_flag=0)

    def run() -> object:
        return pipeline(dict(img_path=path, instances=[dict(instance) for _ in range(7)]))

    return run


# --- sealed data sets ---------------------------------------------------------------------------

SEALED = [('mix', 'png'), ('mix', 'webp'), ('mix+shuffle', 'png'), ('mix+center+shuffle', 'png')]


def sealed_cases(args: argparse.Namespace) -> Iterator[Case]:
    """Reading sealed pictures against plain ones, sealing against decoding and encoding alone."""
    scale = (96, 64) if args.quick else (1333, 800)
    with tempfile.TemporaryDirectory() as folder:
        path, _ = find_image(folder, args.quick)
        key = Key.create(Path(folder, 'owner.key'))
        plain = [dict(type='Resize', scale=scale, keep_ratio=True)]
        for name, picture_format in SEALED:
            scheme = Scheme(name, center_strength=1. if 'center' in name else 0.)
            out = Path(folder, f'{name}-{picture_format}')
            job = SealJob(Path(folder, 'plain'), out, scheme, key=key if scheme.shuffles else None,
                          scales=(scale, ), picture_format=picture_format)
            picture = seal_one(job, Path(path))
            shape = f'{picture.size[1] * scheme.grid}x{picture.size[0] * scheme.grid}x3'
            keyed = dict(key_file=str(Path(folder, 'owner.key'))) if scheme.shuffles else {}
            for end in ('', ' (augmented)') if scheme.shuffles else ('', ):
                again = [dict(type='UnshufflePatches'), dict(type='ShufflePatches', **keyed)]
                steps = [dict(type='ReadSeal', **keyed), *(again if end else [])]
                yield Case(f'load to pack, {name} {picture_format}{end}', shape,
                           partial(make_pipeline, str(out / picture.file), steps),
                           'plain, resized', partial(make_pipeline, path, plain))
            yield Case(f'seal, {name} {picture_format}', shape,
                       partial(make_sealing, path, job), 'imread and imwrite',
                       partial(make_recoding, path, str(out / picture.file), picture_format))


def seal_one(job: SealJob, path: Path) -> SealedPicture:
    """A sealed data set of one picture."""
    name = f'{path.stem}.{job.picture_format}'
    (picture, content), = seal_picture(path.read_bytes(), Source(path.name), name, job)
    write_atomic(job.out / picture.file, content)
    Manifest(job.out, job.scheme, job.picture_format, list(job.scales), '0' * 64,
             job.key and dict(fingerprint=job.key.fingerprint, derivation=1),
             pictures=[picture]).save(job.key)
    return picture


def make_sealing(path: str, job: SealJob) -> Callable:
    """All that sealing does for one picture, written out."""

    def run() -> None:
        for picture, content in seal_picture(Path(path).read_bytes(), Source(Path(path).name),
                                             'again', job):
            write_atomic(job.out / f'{picture.file}.{job.picture_format}', content)

    return run


def make_recoding(path: str, sealed: str, picture_format: str) -> Callable:
    """Read the plain picture and write one of the sealed size, with OpenCV's defaults."""
    img, out = cv2.imread(sealed), f'{sealed}.again.{picture_format}'
    options = [cv2.IMWRITE_WEBP_QUALITY, 101] if picture_format == 'webp' else []

    def run() -> None:
        cv2.imread(path)
        cv2.imwrite(out, img, options)

    return run


# --- backbone -----------------------------------------------------------------------------------


def backbone_cases(args: argparse.Namespace) -> Iterator[Case]:
    """PEViT against timm's ViT on plain images, and against attention that is written out."""
    sizes = ((32, 48), ) if args.quick else ((512, 864), (800, 1344))
    for arch in ('tiny', ) if args.quick else ('tiny', 'small'):
        for size in sizes:
            for train in (False, True):
                make = partial(make_step, arch=arch, size=size, train=train, device=args.device,
                               amp=args.amp)
                name = f'PEViT {arch} {"train" if train else "forward"}'
                shape = f'{size[0]}x{size[1]}x3'
                for grid in (1, 2):
                    yield Case(f'{name} g{grid}', shape, partial(make, grid=grid), 'timm ViT',
                               partial(make, grid=0))
                if fits_written_out(arch, size, train, args.device):
                    yield Case(f'{name} g2', shape, partial(make, grid=2),
                               'written-out attention', partial(make, grid=2, fused=False))


def fits_written_out(arch: str, size: tuple[int, int], train: bool, device: str) -> bool:
    """Whether the attention scores, two copies a block in training, fit into half the memory."""
    heads, tokens = {'tiny': 3, 'small': 6}[arch], size[0] * size[1] // 256
    needed = heads * tokens**2 * 4 * 2 * (12 if train else 1)
    free = os.sysconf('SC_AVPHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') if device == 'cpu' \
        else torch.cuda.mem_get_info()[0]
    return needed < free / 2


def make_step(arch: str, size: tuple[int, int], train: bool, device: str, amp: bool, grid: int,
              fused: bool = True) -> Callable:
    """A forward pass, or one with its backward pass; grid 0 is timm's ViT on plain images."""
    set_fused_attn(fused)
    if grid:
        model = PEViT(arch, grid=grid)
    else:
        model = create_model(f'deit_{arch}_patch16_224', num_classes=0, dynamic_img_size=True)
    set_fused_attn(True)
    model = model.to(device).train(train)
    forward = model if grid else model.forward_features
    x = torch.randn(1, 3, *(side // max(grid, 1) for side in size), device=device)

    def run() -> None:
        with torch.set_grad_enabled(train), torch.autocast(device, torch.bfloat16, enabled=amp):
            out = forward(x)
            out = out[0] if grid else out
        if train:
            model.zero_grad()
            out.float().square().mean().backward()
        if device == 'cuda':
            torch.cuda.synchronize()

    return run


# --- measuring ----------------------------------------------------------------------------------


def take_turns(first: Callable, second: Callable, repeats: int,
               limit_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of both, alternately and after a warm-up; 3 turns at least."""
    first(), second()
    times: tuple[list, list] = ([], [])
    start = time.perf_counter()
    for turn in range(repeats):
        if turn >= 3 and time.perf_counter() - start > limit_s:
            break
        for which in ((0, 1), (1, 0))[turn % 2]:
            begin = time.perf_counter()
            (first, second)[which]()
            times[which].append(1e3 * (time.perf_counter() - begin))
    return np.array(times[0]), np.array(times[1])


def peak_of_arrays(make: Callable, args: argparse.Namespace) -> float:
    """MiB that NumPy asks for during one call, as tracemalloc sees it."""
    run = make()
    run()
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MIB


def _grown_by(make: Callable, threads: int) -> float:
    torch.set_num_threads(threads)
    run = make()
    with suppress(OSError):  # not Linux, or not allowed: figures are then somewhat too small
        Path('/proc/self/clear_refs').write_text('5')  # forget the peak of the imports
    before = _high_water()
    run()
    return _high_water() - before


def _high_water() -> float:
    """Largest memory of this process so far in MiB; getrusage would count the parent's, too."""
    for line in _read('/proc/self/status').splitlines():
        if line.startswith('VmHWM'):
            return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == 'darwin' else peak / 1024


def peak_of_tensors(make: Callable, args: argparse.Namespace) -> float:
    """MiB of one call: in CUDA's own account, or by which a fresh process grows."""
    if args.device == 'cpu':
        key = str(make.keywords)
        if key not in _PEAKS:  # some are candidates once and baselines twice
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                _PEAKS[key] = pool.apply(_grown_by, (make, args.threads))
        return _PEAKS[key]
    run = make()
    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / MIB


_PEAKS: dict[str, float] = {}

# Each with its cases, how its memory is measured, and how often it is repeated.
SUITES = {
    'transforms': (transform_cases, peak_of_arrays, 50),
    'sealed': (sealed_cases, peak_of_arrays, 50),
    'backbone': (backbone_cases, peak_of_tensors, 7),
}


def run_suite(args: argparse.Namespace) -> Iterator[dict]:
    """One row of the CSV for each case, as soon as it is measured."""
    cases, peak, repeats = SUITES[args.suite]
    machine = describe_machine(args)
    for case in cases(args):
        if args.only not in f'{case.name} {case.shape} {case.baseline_name}':
            continue
        first, second = take_turns(case.candidate(), case.baseline(), args.repeats or repeats,
                                   args.limit)
        row = dict(
            suite=args.suite, case=case.name, shape=case.shape, ms_median=np.median(first),
            ms_p10=np.percentile(first, 10), ms_p90=np.percentile(first, 90),
            peak_mib=peak(case.candidate, args), baseline=case.baseline_name,
            baseline_ms=np.median(second), baseline_peak_mib=peak(case.baseline, args),
            ratio=np.median(first / second))
        # Four digits, without an exponent.
        yield {k: f'{float(f"{v:.4g}"):g}' if isinstance(v, float) else v
               for k, v in row.items()} | machine


def describe_machine(args: argparse.Namespace) -> dict:
    names = [line.partition(':')[2].strip() for line in _read('/proc/cpuinfo').splitlines()
             if line.startswith('model name')]
    device = f'{torch.cuda.get_device_name()}{" bf16" * args.amp}' if args.device == 'cuda' \
        else f'cpu{" bf16" * args.amp}'
    return dict(
        device=device, cpu=names[0] if names else platform.processor(), threads=args.threads,
        python=platform.python_version(), torch=torch.__version__, numpy=np.__version__,
        date=datetime.date.today().isoformat())


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ''


def print_table(rows: list[dict]) -> None:
    table = Table(title=', '.join(f'{k} {rows[0][k]}' for k in COLUMNS[11:]))
    shown = [name for name in COLUMNS[1:11] if name not in ('ms_p10', 'ms_p90')]
    for name in shown:
        table.add_column(name, justify='left' if name in ('case', 'shape', 'baseline') else 'right')
    for row in rows:
        table.add_row(*(str(row[name]) for name in shown))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('suite', choices=SUITES)
    parser.add_argument('--out', type=Path, help='CSV file to write')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads; default 1')
    parser.add_argument('--repeats', type=int, help='turns of candidate and baseline')
    parser.add_argument('--limit', type=float, default=60, help='seconds for the turns of one case')
    parser.add_argument('--only', default='', help='cases with this in name, shape or baseline')
    parser.add_argument('--quick', action='store_true', help='tiny shapes, to see that it runs')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    args.repeats = 2 if args.quick and not args.repeats else args.repeats
    rows = []
    for row in run_suite(args):
        print(f'{row["case"]:32} {row["shape"]:14} {row["ms_median"]:>8} ms, {row["baseline"]} '
              f'{row["baseline_ms"]} ms', file=sys.stderr)
        rows.append(row)
        if args.out:  # after every row: a long run that is stopped leaves what it has
            write_csv(args.out, rows)
    print_table(rows)


def write_csv(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
    main()
