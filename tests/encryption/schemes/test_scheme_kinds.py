"""Schemes answer for themselves, and nobody else asks for a name."""
from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import mmppvit
from mmppvit.encryption import (
    BASELINES,
    LEARNED,
    SCHEMES,
    Change,
    LearnedScheme,
    Scheme,
    make_scheme,
    read_scheme,
    scheme_names,
)
from mmppvit.encryption.schemes import scheme_kinds

ROOT = Path(mmppvit.__file__).parent
EVERY = [*(Scheme(name, grid=2 if 'mix' in name else 1) for name in SCHEMES),
         *(make_scheme(name, grid=2 if 'down' in name else 1,
                       **({} if 'down' in name else dict(strength=3.))) for name in BASELINES),
         LearnedScheme(protector='ab' * 16)]


def test_names():
    assert scheme_names() == [*SCHEMES, *BASELINES, LEARNED]


@pytest.mark.parametrize('scheme', EVERY, ids=lambda scheme: scheme.name)
def test_every_scheme_answers(scheme):
    assert read_scheme(scheme.to_dict()) == scheme
    assert scheme.describe().startswith(scheme.name)
    assert scheme.format_version == (3 if scheme.name == LEARNED else
                                     2 if scheme.name in BASELINES else 1)
    assert scheme.restorable == (scheme.name == 'shuffle') == (not scheme.losses())
    assert scheme.baseline == (scheme.name in BASELINES)
    assert scheme.needs_protector == (scheme.name == LEARNED)


@pytest.mark.parametrize(('name', 'obstacles'), [
    *((name, ()) for name in SCHEMES), ('blur', (Change.CROP, )), ('pixelate', (Change.CROP, )),
    ('noise', (Change.COLOR, )), ('downsample', ()), ('downsample+shuffle', ()),
    (LEARNED, tuple(Change))])
def test_obstacles(name, obstacles):
    scheme = next(scheme for scheme in EVERY if scheme.name == name)
    assert tuple(change for change in Change if scheme.obstacle(change)) == obstacles


def test_blocks_that_divide_the_patch_may_be_cropped():
    assert make_scheme('pixelate', grid=1, strength=4).obstacle(Change.CROP) is None


@dataclass(frozen=True)
class Negative(Scheme):
    """What somebody adds: a class and an entry in the list of kinds."""
    name: str = 'negative'
    grid: int = 1
    names = ('negative', )

    def _hide(self, img: np.ndarray, image_id: str, pad_val: float) -> np.ndarray:
        return 255 - super()._hide(img, image_id, pad_val)


def test_an_added_kind_is_made_and_read(monkeypatch):
    with pytest.raises(ValueError, match='no scheme'):
        make_scheme('negative')
    monkeypatch.setattr(scheme_kinds, 'KINDS', (*scheme_kinds.KINDS, Negative))
    scheme = make_scheme('negative', patch_size=8)
    assert read_scheme(scheme.to_dict()) == scheme
    img = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(scheme.encrypt(img).img, 255 - img)


def _asks_for_names(tree: ast.AST) -> list[int]:
    """Lines that compare a scheme's name with something, or look at what is in it."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Compare)
            for side in (node.left, *node.comparators)
            if isinstance(side, ast.Attribute) and side.attr == 'name'
            and 'scheme' in ast.unparse(side.value)]


def test_nobody_else_asks_a_scheme_for_its_name():
    assert _asks_for_names(ast.parse("manifest.scheme.name in ('mix', )\nscheme.name == 'blur'")) \
        == [1, 2]
    found = {str(path.relative_to(ROOT)): _asks_for_names(ast.parse(path.read_text()))
             for path in ROOT.rglob('*.py') if 'encryption/schemes' not in path.as_posix()}
    assert not {path: lines for path, lines in found.items() if lines}
