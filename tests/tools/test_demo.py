"""``tools/demo.py`` from drawing to the image, in the smallest setting."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def _demo(tools: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(tools / 'demo.py'), '--epochs', '1', '--num-train', '8',
         '--num-val', '3', '--num-rows', '2', *options],
        capture_output=True, text=True, cwd=folder, env={
            **os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(tools.parent)})


@pytest.mark.parametrize('grid', [1, 2])
def test_demo_runs_from_any_folder(tools, tmp_path, grid):
    done = _demo(tools, tmp_path, '--grid', str(grid), '--work-dir', 'out', '--data-dir', 'set')
    assert done.returncode == 0, done.stderr
    assert re.search(r'COCO bbox mAP on 3 .*images: 0\.\d{3}', done.stdout)
    assert re.search(r'epoch +1/1 .*loss \d', done.stdout)
    assert len(done.stdout.splitlines()) < 25
    assert not done.stderr
    with Image.open(tmp_path / 'out' / 'detections.png') as img:
        width, height = img.size
    assert width == 4 * 2 * 192 + 5 * 6
    assert height > 2 * 2 * 192
    for kind in ('Look at', 'Log', 'Checkpoint'):
        path = re.search(rf'^{kind} +(.*)$', done.stdout, re.MULTILINE).group(1)
        assert (tmp_path / path).is_file()
    assert (tmp_path / 'set' / 'annotations' / 'instances_val2017.json').is_file()


def test_a_foreign_folder_is_not_drawn_over(tools, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'a.txt').write_text('a')
    done = _demo(tools, tmp_path, '--data-dir', 'mine', '--work-dir', 'out')
    assert done.returncode != 0
    assert 'mine holds something else' in done.stderr
    assert [path.name for path in (tmp_path / 'mine').iterdir()] == ['a.txt']
