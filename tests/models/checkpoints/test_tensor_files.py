"""Files of tensors: nothing in them runs, nothing of them is lost."""
from __future__ import annotations

import argparse
import pickle

import pytest
import torch
from mmengine.runner import load_checkpoint
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from mmppvit.models.checkpoints import read_state_dict, write_state_dict

WEIGHTS = nn.Linear(2, 3).state_dict()


def _saved(tmp_path, content: object, name: str = 'weights.pth') -> str:
    path = str(tmp_path / name)
    (save_file if name.endswith('safetensors') else torch.save)(content, path)
    return path


_EXECUTED: list[bool] = []


def _execute() -> None:
    _EXECUTED.append(True)


class _Bomb:

    def __reduce__(self):
        return _execute, ()


@pytest.mark.parametrize('save', [
    lambda obj, path: torch.save(obj, path),
    lambda obj, path: torch.save(obj, path, _use_new_zipfile_serialization=False),
    lambda obj, path: path.write_bytes(pickle.dumps(obj)),
], ids=['zip', 'legacy', 'pickle'])
def test_pickles_are_refused_unopened(tmp_path, save):
    path = tmp_path / 'weights.pth'
    save(dict(state_dict=WEIGHTS, extra=_Bomb()), path)
    if path.read_bytes()[:2] == b'PK':  # it does go off where it is allowed to
        torch.load(path, weights_only=False)
        assert _EXECUTED
    _EXECUTED.clear()
    with pytest.raises(ValueError, match=r'cannot be read as weights only .*save its bare state '
                       r'dict, torch.save\(model.state_dict\(\), FILE\)'):
        read_state_dict(path)
    assert not _EXECUTED


@pytest.mark.parametrize(('content', 'message'), [
    ([1, 2], 'holds a list, not a state dict'),
    (torch.zeros(3), 'holds a Tensor, not a state dict'),
    ({}, 'holds no tensors'),
    (dict(epoch=3), 'holds no tensors'),
])
def test_other_contents(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_state_dict(_saved(tmp_path, content))


@pytest.mark.parametrize(('value', 'message'), [
    (torch.full((2, 2), float('nan')), 'not finite: the training that wrote it had diverged'),
    (torch.tensor([1., float('inf')]), 'not finite'),
    (torch.ones(2, 2).to_sparse(), r'is sparse_coo: save \.to_dense\(\)'),
    (torch.empty(2, 2, device='meta'), r'has no values \(meta\)'),
    (torch.ones(2, 2, dtype=torch.complex64), 'is complex'),
    (torch.ones(2, 2, dtype=torch.int8), r'is quantized \(torch.int8\)'),
])
def test_weights_that_are_no_numbers(value, message, tmp_path):
    path = _saved(tmp_path, dict(first=torch.ones(2), **{'block.weight': value}))
    with pytest.raises(ValueError, match=f'of no use: its tensor block.weight .*{message}'):
        read_state_dict(path)


def test_buffers_may_be_what_weights_may_not(tmp_path):
    buffers = dict(mask=torch.tensor([[0., -float('inf')]]), index=torch.arange(4).view(2, 2),
                   used=torch.ones(2, 2, dtype=torch.bool), count=torch.tensor(3, dtype=torch.int8))
    assert read_state_dict(_saved(tmp_path, buffers)).keys() == buffers.keys()


@pytest.mark.parametrize('name', ['weights.pth', 'weights.safetensors'])
def test_broken_and_missing_files(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf'no checkpoint .*{name}: check init_cfg'):
        read_state_dict(tmp_path / name)
    (tmp_path / name).write_text('<html>404 Not Found</html>')
    with pytest.raises(ValueError, match=rf'{name} cannot be read as weights only'):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize('name', ['new/weights.pth', 'weights.safetensors'])
def test_round_trip(tmp_path, name):
    """Views, whose memory is shared, and other types come back as they are."""
    table = torch.arange(12.).view(3, 4)
    state = dict(view=table[:, 1:], turned=table.T, same=table, half=table.half(),
                 parameter=nn.Parameter(table[0]))
    write_state_dict(tmp_path / name, state)
    read = read_state_dict(tmp_path / name)
    assert sorted(read) == sorted(state)
    for key, value in state.items():
        torch.testing.assert_close(read[key], value.detach(), rtol=0, atol=0)
    assert len(list((tmp_path / name).parent.iterdir())) == 1


def test_a_part_of_a_large_tensor_makes_no_large_file(tmp_path):
    write_state_dict(tmp_path / 'small.pth', dict(part=torch.zeros(1 << 20)[:4]))
    assert (tmp_path / 'small.pth').stat().st_size < 4096


def test_mmengine_loads_what_is_written(tmp_path):
    write_state_dict(tmp_path / 'weights.pth', WEIGHTS)
    layer = nn.Linear(2, 3)
    load_checkpoint(layer, str(tmp_path / 'weights.pth'), strict=True)
    torch.testing.assert_close(layer.state_dict(), WEIGHTS, rtol=0, atol=0)


def test_safetensors_says_whose_tensors(tmp_path):
    write_state_dict(tmp_path / 'weights.safetensors', WEIGHTS)
    with safe_open(tmp_path / 'weights.safetensors', framework='pt') as file:
        assert file.metadata() == dict(format='pt')


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'weights.bin has to end in .safetensors or .pth'):
        write_state_dict(tmp_path / 'weights.bin', WEIGHTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(torch.serialization, 'safe_globals'), reason='needs torch 2.5')
def test_options_beside_the_weights_are_passed_over(tmp_path):
    """DETR, DeiT and YOLOS save ``args``."""
    path = _saved(tmp_path, dict(model=WEIGHTS, args=argparse.Namespace(lr=.1, name='x')))
    torch.testing.assert_close(read_state_dict(path), dict(WEIGHTS), rtol=0, atol=0)
