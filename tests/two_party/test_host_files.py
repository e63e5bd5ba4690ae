"""Snapshots of the host: what is damaged is told in one line."""
from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save

from mmppvit.two_party.host_files import read_state, write_state
from mmppvit.two_party.messages import ProtocolError


def test_a_round_trip(tmp_path):
    path = tmp_path / 'a.safetensors'
    digest = write_state(path, dict(b=torch.arange(3.), a=torch.ones(2, 2)), dict(step=4))
    tensors, info = read_state(path)
    assert info == dict(step=4, digest=digest)
    torch.testing.assert_close(tensors, dict(a=torch.ones(2, 2), b=torch.arange(3.)))


@pytest.mark.parametrize('info', [
    json.dumps(dict(step=4)), json.dumps(dict(digest='0' * 64)), '[]', '3', 'null', '"digest"',
    '{', '[' * 100_000, None])
def test_damage_is_told_in_one_line(tmp_path, info):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(save(dict(a=torch.ones(2)), info and dict(mmppvit=info)))
    with pytest.raises(ProtocolError, match=r'a\.safetensors of the host is damaged'):
        read_state(path)
