"""Imports run one way, and no two modules have one name; read from the code, not run."""
from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import mmppvit

ROOT = Path(mmppvit.__file__).parent
# From the ground up; a package may import those before it. What stands in one line may not import
# each other.
LAYERS = [
    ('utils', ),
    ('encryption', ),
    ('annotations', ),
    ('sealed', ),
    ('compat', ),
    ('models', ),
    ('datasets', ),
    ('evaluation', ),
    ('engine', 'visualization'),
    ('two_party', 'transfer'),
    ('attacks', ),
    ('register_names', ),
    ('register', ),
    ('adapt', 'demo'),
    ('plan', ),
    ('cli', ),
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in ROOT.rglob('*.py') if '__pycache__' not in path.parts)


def _package(module: str) -> str:
    """'mmppvit.sealed.writer' -> 'sealed'; '' of the root."""
    return module.partition('.')[2].partition('.')[0]


def _imports(path: Path) -> set[str]:
    """Modules of this project that a file names in an import, also within a function."""
    here = path.relative_to(ROOT.parent).with_suffix('').parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f'{node.module}.{alias.name}' for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add('.'.join(here[:len(here) - node.level]) + f'.{node.module or ""}')
    return {name for name in found if name.split('.')[0] == 'mmppvit'}


def _upward() -> list[str]:
    found = []
    for path in MODULES:
        own = path.relative_to(ROOT).parts[0].removesuffix('.py')
        for name in sorted(_imports(path)):
            other = _package(name)
            if own in HEIGHT and other in HEIGHT and other != own \
                    and HEIGHT[other] >= HEIGHT[own]:
                found.append(f'{path.relative_to(ROOT)} imports {name}')
    return found


def test_every_package_has_a_layer():
    packages = {path.parent.name for path in ROOT.glob('*/__init__.py')}
    assert not packages - set(HEIGHT)


def test_imports_run_one_way():
    assert _upward() == []


def test_names_of_modules_and_folders_are_unique():
    counts = Counter(path.parent.name if path.stem == '__init__' else path.stem
                     for path in MODULES)
    assert not [name for name, count in counts.items() if count > 1]


@pytest.mark.parametrize(('package', 'never'), [
    ('encryption', 'torch'), ('sealed', 'torch'), ('annotations', 'torch'), ('models', 'sealed'),
    ('attacks', 'engine')])
def test_what_a_package_never_imports(package, never):
    for path in (ROOT / package).rglob('*.py'):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        names = {alias.name for node in tree.body if isinstance(node, ast.Import)
                 for alias in node.names}
        names |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert never not in {name.split('.')[0] for name in names if name}, path
        assert not [name for name in names if name and name.startswith(f'mmppvit.{never}')], path
