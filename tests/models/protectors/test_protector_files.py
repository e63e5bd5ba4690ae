"""Protectors on disk: what comes back, and what is refused."""
from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mmppvit.models.protectors import (
    ProtectionUNet,
    fingerprint,
    load_protector,
    pack_info,
    save_protector,
    unpack_info,
)


@pytest.fixture
def net() -> ProtectionUNet:
    torch.manual_seed(0)
    net = ProtectionUNet((4, 8), norm='BN')
    net.train()(torch.rand(2, 3, 8, 8))  # so that norms have statistics
    return net.eval()


def _checkpoint(net, made_for='d' * 32) -> dict:
    """What MMEngine writes in the training of a ProtectedDetector, as far as it matters."""
    state = {f'protector.{name}': value for name, value in net.state_dict().items()}
    state.update({'_extra_state': pack_info(net, made_for), 'reconstructor.x': torch.ones(1)})
    return dict(meta={}, state_dict=state)


@pytest.mark.parametrize('made_for', [None, 'a' * 32])
def test_a_file_comes_back(net, made_for, tmp_path):
    save_protector(tmp_path / 'p.safetensors', net, made_for)
    found = load_protector(tmp_path / 'p.safetensors')
    x = torch.rand(1, 3, 9, 7)
    assert not found.network.training
    assert torch.equal(found.network.protect(x), net.protect(x))
    assert found.made_for == made_for
    with safe_open(tmp_path / 'p.safetensors', 'pt') as file:
        assert json.loads(file.metadata()['mmppvit-protector'])['settings'] == net.settings


def test_the_same_protector_makes_the_same_file(net, tmp_path):
    for name in 'ab':
        save_protector(tmp_path / f'{name}.safetensors', net, 'a' * 32)
    assert (tmp_path / 'a.safetensors').read_bytes() == (tmp_path / 'b.safetensors').read_bytes()


def test_a_training_checkpoint_comes_back(net, tmp_path):
    torch.save(_checkpoint(net), tmp_path / 'epoch_1.pth')
    found = load_protector(tmp_path / 'epoch_1.pth')
    x = torch.rand(1, 3, 9, 7)
    assert torch.equal(found.network.protect(x), net.protect(x))
    assert found.made_for == 'd' * 32


def test_info_is_a_tensor_and_back(net):
    packed = pack_info(net, 'b' * 32)
    assert packed.dtype == torch.uint8
    assert unpack_info(packed) == dict(version=1, settings=net.settings, made_for='b' * 32)


def _plain_detector(net, path):
    torch.save(dict(state_dict=net.state_dict()), path)


def _other_safetensors(net, path):
    save_file(net.state_dict(), path)


def _torn(net, path):
    save_protector(path, net)
    path.write_bytes(path.read_bytes()[:-100])


def _garbage(net, path):
    path.write_bytes(b'not a checkpoint')


def _other_settings(net, path):
    checkpoint = _checkpoint(net)
    checkpoint['state_dict']['_extra_state'] = pack_info(ProtectionUNet((4, 12)), None)
    torch.save(checkpoint, path)


def _newer(net, path):
    checkpoint = _checkpoint(net)
    text = bytes(checkpoint['state_dict']['_extra_state'].tolist()).replace(
        b'"version": 1', b'"version": 2')
    checkpoint['state_dict']['_extra_state'] = torch.tensor(list(text), dtype=torch.uint8)
    torch.save(checkpoint, path)


@pytest.mark.parametrize(('write', 'name', 'error'), [
    (_plain_detector, 'p.pth', 'holds no protector: give a checkpoint'),
    (_other_safetensors, 'p.safetensors', 'was not written by save_protector'),
    (_torn, 'p.safetensors', 'is not a .safetensors file, or a damaged one'),
    (_garbage, 'p.safetensors', 'is not a .safetensors file'),
    (_garbage, 'p.pth', 'cannot be read as weights only'),
    (_other_settings, 'p.pth', 'is damaged: its weights do not fit its settings'),
    (_newer, 'p.pth', 'format 2; this mmppvit knows 1'),
])
def test_files_of_other_kinds(net, write, name, error, tmp_path):
    write(net, tmp_path / name)
    with pytest.raises(ValueError, match=error):
        load_protector(tmp_path / name)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no protector .*give the protector.safetensors'):
        load_protector(tmp_path / 'p.safetensors')


def test_only_safetensors_are_written(net, tmp_path):
    with pytest.raises(ValueError, match='protectors are saved as'):
        save_protector(tmp_path / 'p.pth', net)


def test_fingerprints_tell_models_apart():
    state = dict(a=torch.zeros(2, 3), b=torch.ones(4, dtype=torch.bfloat16))
    own = fingerprint(state)
    assert len(own) == 32
    assert own == fingerprint(dict(reversed(state.items()))), 'the order of names is no matter'
    for other in (dict(state, a=torch.zeros(3, 2)), dict(state, a=state['a'] + 1e-6),
                  dict(state, b=torch.ones(4, dtype=torch.float16)), dict(a=state['a']),
                  dict(a=state['a'], c=state['b'])):
        assert fingerprint(other) != own
    assert fingerprint(dict(n=torch.tensor(3))) != fingerprint(dict(n=torch.tensor(4)))
