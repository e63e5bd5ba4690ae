"""Time and memory of transforms, sealed data sets and models, each beside its baseline.

    python tools/benchmark.py transforms --threads 1 --out benchmarks/transforms.csv
    python tools/benchmark.py sealed --threads 1 --out benchmarks/sealed.csv
    python tools/benchmark.py backbone --threads 2 --out benchmarks/backbone.csv
    python tools/benchmark.py peyolos --threads 2 --out benchmarks/peyolos.csv
    python tools/benchmark.py protection --threads 1 --out benchmarks/protection.csv
    python tools/benchmark.py backbone --device cuda --amp --out benchmarks/backbone_gpu.csv

Candidate and baseline take turns in one process, so that a machine that slows down slows both;
``ratio`` is the median of their ratios turn by turn, below 1 where the candidate is faster.
"""
from __future__ import annotations

import argparse
import csv
import datetime
import multiprocessing
import platform
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from benchmark_suites.protection import protection_cases
from benchmark_suites.sealed import sealed_cases
from benchmark_suites.transformers import backbone_cases, peyolos_cases
from benchmark_suites.transforms import transform_cases
from rich.console import Console
from rich.table import Table

MIB = 2**20
COLUMNS = ('suite', 'case', 'shape', 'ms_median', 'ms_p10', 'ms_p90', 'peak_mib', 'baseline',
           'baseline_ms', 'baseline_peak_mib', 'ratio', 'device', 'cpu', 'threads', 'python',
           'torch', 'numpy', 'date')


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
        key = str((make.args, make.keywords))
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
    'peyolos': (peyolos_cases, peak_of_tensors, 7),
    'protection': (protection_cases, peak_of_tensors, 20),
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
