"""Every config, read as it is."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob('*.py')
                 if '_base_' not in path.parts)


@pytest.mark.parametrize('name', CONFIGS)
def test_no_hook_is_registered_twice(name):
    hooks = Config.fromfile(str(ROOT / name)).get('custom_hooks', [])
    twice = {kind: count for kind, count in Counter(hook['type'] for hook in hooks).items()
             if count > 1}
    assert not twice


def _steps(node) -> list[dict]:
    """Every dict with a ``type`` that stands in a list, wherever it is."""
    if isinstance(node, dict):
        return [step for value in node.values() for step in _steps(value)]
    if isinstance(node, (list, tuple)):
        return [item for item in node if isinstance(item, dict) and 'type' in item] + [
            step for item in node for step in _steps(item)]
    return []


@pytest.mark.parametrize('name', [name for name in CONFIGS if 'sealed' in name])
def test_sealed_images_are_read_once_and_know_their_patches(name):
    steps = _steps(Config.fromfile(str(ROOT / name))._cfg_dict)
    kinds = {step['type'] for step in steps}
    assert 'LoadSealedImage' in kinds
    assert 'ReadSeal' not in kinds
    for step in steps:
        if step['type'] in ('ShufflePatches', 'UnshufflePatches'):
            assert not {'patch_size', 'grid'} & set(step)
