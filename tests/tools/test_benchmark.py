"""The benchmark runs and writes the columns it promises; nothing here is timed."""
from __future__ import annotations

import argparse
import contextlib
import csv
import os
import subprocess
from pathlib import Path

import pytest

from tests.warm_python import run_warm_python

ROOT = Path(__file__).parents[2]
COLUMNS = ['suite', 'case', 'shape', 'ms_median', 'ms_p10', 'ms_p90', 'peak_mib', 'baseline',
           'baseline_ms', 'baseline_peak_mib', 'ratio', 'device', 'cpu', 'threads', 'python',
           'torch', 'numpy', 'date']
ENV = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}


def _run(*args: str) -> subprocess.CompletedProcess:
    return run_warm_python(ROOT / 'tools/benchmark.py', *args, cwd=ROOT, env=ENV)


def test_sealed():
    done = _run('sealed', '--quick')
    assert done.returncode == 0, done.stderr
    for case in ('load to pack, mix webp', 'load to pack, mix+shuffle png (augmented)',
                 'seal, mix+center+shuffle png'):
        assert case in done.stderr


def test_transforms(tmp_path):
    out = tmp_path / 'new' / 'transforms.csv'
    done = _run('transforms', '--quick', '--out', str(out))
    assert done.returncode == 0, done.stderr
    with out.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row['case'] for row in rows] == [
        'mix_sub_patches P16 g2', 'mix_sub_patches P16 g4', 'mix_sub_patches P32 g4',
        'mix_sub_patches P24 g3',
        *(f'{name} of {side} pixels{end}' for side in (16, 8) for name, end in (
            ('shuffle_patches', ''), ('center_patches', ''), ('center_patches', ', normalize'))),
        'load, mix, pack', 'load, resize, mix, pack']
    for row in rows:
        assert row['suite'] == 'transforms'
        assert row['threads'] == '1'
        assert 0 < float(row['ms_p10']) <= float(row['ms_median']) <= float(row['ms_p90'])
        for name in ('peak_mib', 'baseline_ms', 'baseline_peak_mib', 'ratio'):
            assert float(row[name]) > 0, name
        assert all(row.values())
        assert row['case'] in done.stdout


def test_the_baseline_of_mixing_computes_the_same(monkeypatch):
    """Else the comparison would mean nothing; only halves are rounded another way."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import numpy as np
    from benchmark_suites import transforms

    args = (np.random.default_rng(0).integers(0, 256, (48, 72, 3), np.uint8), 24, 3)
    np.testing.assert_array_equal(transforms.mix_naively(*args), transforms.mix_sub_patches(*args))


@pytest.mark.parametrize('suite', ['backbone', 'peyolos'])
def test_the_steps_of_models_run(suite, monkeypatch):
    """In this process: the command measures each in a fresh one, which takes its time."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    from benchmark_suites import transformers

    args = argparse.Namespace(quick=True, device='cpu', amp=False)
    cases = list(getattr(transformers, f'{suite}_cases')(args))
    assert {case.baseline_name for case in cases} >= {'eager attention'}
    for case in cases:
        case.candidate()()
        case.baseline()()


def test_every_model_has_a_peak_of_its_own(monkeypatch):
    """Peaks are remembered, as some models are baselines twice: by all that makes the model."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import benchmark
    from benchmark_suites import transformers

    args = argparse.Namespace(quick=True, device='cpu', amp=False, threads=1)
    monkeypatch.setattr(benchmark, '_PEAKS', {})
    monkeypatch.setattr(benchmark.multiprocessing, 'get_context', lambda kind: _Context())
    for case in transformers.peyolos_cases(args):
        for make in (case.candidate, case.baseline):
            benchmark.peak_of_tensors(make, args)
    assert len(benchmark._PEAKS) == 9, 'forward and train in three steps, with_cp, two baselines'


class _Context:
    """In place of fresh processes, which take seconds each."""

    def Pool(self, number):  # noqa: N802, multiprocessing's name
        return contextlib.nullcontext(self)

    def apply(self, function, args):
        return 1.


def test_written_out_attention_is_written_out(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    from benchmark_suites import transformers
    from torch.nn import functional

    calls = []
    fused = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, 'scaled_dot_product_attention',
                        lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs))
    for build in (transformers.build_pevit, transformers.build_peyolos):
        for is_fused in (False, True):
            calls.clear()
            transformers.make_step('tiny', (32, 48), False, 'cpu', False, build, 2, is_fused)()
            assert len(calls) == 12 * is_fused


@pytest.mark.skipif(not os.access('/proc/self/clear_refs', os.W_OK), reason='needs Linux')
def test_memory_is_that_of_the_call(monkeypatch):
    """200 MiB touched are 200 MiB reported, whatever was touched before."""
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import benchmark
    import torch

    torch.ones(100 * benchmark.MIB)  # 400 MiB, freed at once
    grown = benchmark._grown_by(lambda: lambda: torch.ones(50 * benchmark.MIB), 1)
    assert 190 < grown < 260


def test_protectors_give_the_same_in_pytorch_and_as_onnx(monkeypatch):
    pytest.importorskip('onnxruntime')
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    import numpy as np
    from benchmark_suites.protection import protection_cases

    light, _, mixing = protection_cases(argparse.Namespace(quick=True, threads=1))
    protected, (exported, ) = light.candidate()(), light.baseline()()
    assert np.abs(protected.astype(int) - exported).max() <= 1
    assert mixing.baseline()().shape == (24, 32, 3)
