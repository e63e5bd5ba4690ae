"""Data sets below wrappers, built or as configs."""
from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmppvit.utils.leaf_datasets import leaf_datasets


def _as_objects(node):
    if isinstance(node, dict):
        return SimpleNamespace(**{key: _as_objects(value) for key, value in node.items()})
    return [_as_objects(part) for part in node] if isinstance(node, list) else node


A, B, C = dict(name='a', pipeline=['x']), dict(name='b'), dict(name='c')
MIXER = dict(name='mixer', dataset=dict(dataset=B), pipeline=['mosaic'])
CASES = [
    (A, [('a', None)]),
    (dict(dataset=A), [('a', None)]),
    (dict(dataset=A, pipeline=[]), [('a', None)]),
    (dict(datasets=[A, dict(dataset=B)]), [('a', None), ('b', None)]),
    (dict(datasets=[MIXER, C]), [('b', 'mixer'), ('c', None)]),
    (dict(name='outer', pipeline=['y'], dataset=MIXER), [('b', 'mixer')]),
]


def _name(node) -> str | None:
    return None if node is None else node['name'] if isinstance(node, dict) else node.name


@pytest.mark.parametrize('built', [False, True])
@pytest.mark.parametrize(('node', 'expected'), CASES)
def test_leaf_datasets(node, expected, built):
    found = leaf_datasets(_as_objects(node) if built else node)
    assert [(_name(leaf.dataset), _name(leaf.mixer)) for leaf in found] == expected
