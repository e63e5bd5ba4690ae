"""Checkpoints with several sets of weights, and with names that training has wrapped."""
from __future__ import annotations

import argparse

import pytest
import torch

from mmppvit.models.checkpoints import read_state_dict
from mmppvit.models.checkpoints import weight_sets as subject

GOOD = {f'blocks.{k}.attn.proj.{part}': torch.ones(2) for k in range(2) for part in
        ('weight', 'bias')}
OTHER = {name: torch.zeros(2) for name in GOOD}
MODULE = {f'module.{name}': value for name, value in GOOD.items()}


@pytest.fixture
def said(monkeypatch) -> list[str]:
    lines = []
    monkeypatch.setattr(subject, 'print_log', lambda text, **_: lines.append(text))
    return lines


def _read(tmp_path, content: object, **options) -> dict:
    torch.save(content, tmp_path / 'a.pth')
    return read_state_dict(tmp_path / 'a.pth', **options)


@pytest.mark.parametrize(('content', 'taken'), [
    (dict(state_dict=OTHER, state_dict_ema=GOOD, args=argparse.Namespace(lr=1.)), 'state_dict_ema'),
    (dict(model=OTHER, model_ema=GOOD), 'model_ema'),
    (dict(model=OTHER, ema=dict(module=GOOD, decay=.9)), 'ema.module'),
    (dict(student=OTHER, teacher=MODULE), 'teacher'),
    # MMEngine's EMAHook exchanges the two.
    (dict(state_dict=GOOD, ema_state_dict={'steps': torch.tensor(3), **OTHER}), 'state_dict'),
], ids=['timm', 'detr', 'rf-detr', 'dino', 'mmengine'])
def test_of_several_the_averaged_one_is_taken_and_said(tmp_path, said, content, taken):
    torch.testing.assert_close(_read(tmp_path, content), GOOD)
    (line, ) = said
    assert f'took {taken} (averaged); --weights chooses' in line
    other = next(key for key in content if key != taken.split('.')[0] and key != 'args')
    assert not _read(tmp_path, content, weights=other)['blocks.0.attn.proj.bias'].any()
    with pytest.raises(ValueError, match=rf"has no weights 'x': it has .*{taken}"):
        _read(tmp_path, content, weights='x')


@pytest.mark.parametrize('wrap', [
    lambda state: state, lambda state: dict(state_dict=state), lambda state: dict(model=state),
    lambda state: dict(ema_state_dict=state), lambda state: dict(net=dict(weights=state)),
    lambda state: dict(state_dict=state, optimizer=dict(state={'m': torch.zeros(9)}), epoch=3),
], ids=['bare', 'state_dict', 'model', 'ema', 'deep', 'optimizer'])
@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', 'module._orig_mod.',
                                    '_orig_mod.module.'])
def test_one_unwrapping_for_all(tmp_path, said, wrap, prefix):
    state = {prefix + name: value for name, value in GOOD.items()}
    torch.testing.assert_close(_read(tmp_path, wrap(state)), GOOD)
    assert said == []


def test_what_holds_no_tensors_says_what_it_holds(tmp_path):
    with pytest.raises(ValueError, match='holds no tensors; its entries are epoch, optimizer'):
        _read(tmp_path, dict(epoch=3, optimizer=dict(state={'m': torch.zeros(9)})))
