"""CONTRIBUTING.md names every file that an addition touches, and those are enough."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mmppvit
from tests.additions import ADDITIONS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / 'CONTRIBUTING.md').read_text()
NEW_TESTS = 'inversion or squares or mean_color or token_scale'


def _named(kind: str) -> set[str]:
    """Files, and folders with a / at their end, in the paragraph that begins with ``kind``."""
    paragraph = re.search(rf'\*\*{kind}\.\*\*(.*?)\n\n', TEXT, re.S)[1]
    return set(re.findall(r'`((?:mmppvit|tests|docs)/[\w./-]+)`', paragraph))


def _touched(kind: str) -> set[str]:
    """Files that are edited, and folders of new ones."""
    return {path if (ROOT / path).exists() else f'{Path(path).parent}/' for path in ADDITIONS[kind]}


@pytest.mark.parametrize('kind', ADDITIONS)
def test_the_page_names_what_is_touched(kind):
    assert _named(kind) == _touched(kind)


def _add(root: Path, path: str, change: str | list[tuple[str, str]]) -> None:
    target = root / path
    if isinstance(change, str):
        target.write_text(change.lstrip())
        return
    text = target.read_text()
    for line, added in change:
        assert text.count(f'{line}\n') >= 1, line
        text = text.replace(f'{line}\n', f'{line}\n{added}\n', 1)
    target.write_text(text)


def test_what_is_added_works(tmp_path):
    """In a copy of the source tree, by the tests that come with it."""
    kept = shutil.ignore_patterns('__pycache__', 'data')
    for folder in ('mmppvit', 'tests'):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=kept)
    (tmp_path / 'docs').mkdir()
    for file in ('pyproject.toml', 'docs/attacks.md'):
        shutil.copy(ROOT / file, tmp_path / file)
    new_tests = []
    for changes in ADDITIONS.values():
        for path, change in changes.items():
            _add(tmp_path, path, change)
            new_tests += [path] * path.startswith('tests/')
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-n', '0', '-k', NEW_TESTS, *new_tests],
        cwd=tmp_path, env={**os.environ, 'PYTHONPATH': str(tmp_path)}, capture_output=True,
        text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r'\b8 passed', done.stdout), done.stdout[-500:]


def test_the_table_of_folders_is_the_tree():
    table = set(re.findall(r'^\| `mmppvit/(\w+)', TEXT, re.M))
    root = Path(mmppvit.__file__).parent
    tree = {path.name for path in root.iterdir() if path.is_dir() and any(path.glob('*.py'))}
    assert table - {'register', 'register_names'} == tree


def test_the_folders_within_are_the_tree_too():
    for row in re.findall(r'^\| `mmppvit/\w+/.*', TEXT, re.M):
        folder = ROOT / re.search(r'`(mmppvit/\w+)/', row)[1]
        named = set(re.findall(r'`(\w+)/`', row.partition('|')[2].partition('|')[2]))
        others = {path.name for path in ROOT.glob('mmppvit/*')}  # that a row speaks of
        assert named - others == {path.parent.name for path in folder.glob('*/__init__.py')}, row
