"""Messages from a hostile party are refused by one kind of error."""
from __future__ import annotations

import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from mmppvit.two_party import messages
from mmppvit.two_party.messages import ProtocolError, decode, encode, fields
from mmppvit.two_party.wire_types import WIRE_TYPES, pack_rows, unpack_rows

GOOD = encode(dict(method='x', n=[1, 2.5, None]), dict(a=torch.arange(6.).view(2, 3)))


def _message(header: bytes, payload: bytes = save({}), version: int = messages.VERSION) -> bytes:
    return struct.pack('>4sHI', b'MPV2', version, len(header)) + header + payload


def test_there_and_back():
    header, tensors = decode(GOOD)
    assert header == dict(method='x', n=[1, 2.5, None])
    assert torch.equal(tensors['a'], torch.arange(6.).view(2, 3))


@pytest.mark.parametrize(('message', 'text'), [
    (b'', 'of 0 bytes is none'),
    (b'GET / HTTP/1.1\r\n\r\n', 'not a message of mmppvit'),
    (_message(b'{}', version=7), 'speaks version 7 .* this one version 1'),
    (_message(b'{"a": NaN}'), 'header is not valid'),
    (_message(b'{"a": 1e999}'), 'header is not valid'),
    (_message(b'[' * 100000), 'header is not valid'),
    (_message(b'[]'), 'header is a list'),
    (_message(b'\xff'), 'header is not valid'),
    (_message(b'{}', b'\x00'), 'tensors cannot be read'),
    (_message(b'{}', save(dict(a=torch.zeros(2, dtype=torch.int64)))), 'is of type torch.int64'),
    (_message(b'{}', save(dict(a=torch.zeros(2, dtype=torch.float64)))), 'of type torch.float64'),
    (struct.pack('>4sHI', b'MPV2', 1, 2**31), 'a header of 2147483648 bytes'),
    (_message(b'{}', b'\xff\xff\xff\xff\xff\xff\xff\x7f{}'), 'tensors cannot be read'),
])
def test_what_is_no_message(message, text):
    with pytest.raises(ProtocolError, match=text):
        decode(message)


def test_sizes_are_limited(monkeypatch):
    monkeypatch.setattr(messages, 'MAX_MESSAGE', len(GOOD) - 1)
    with pytest.raises(ProtocolError, match='is larger than'):
        decode(GOOD)
    with pytest.raises(ValueError, match='lower the batch size'):
        encode({}, dict(a=torch.zeros(1000)))


@given(st.binary(max_size=200))
def test_any_bytes(data):
    with pytest.raises(ProtocolError):
        decode(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(0, len(GOOD)))
def test_damaged_messages(place, change, length):
    """They decode to something or are refused; no other error."""
    damaged = bytearray(GOOD)
    damaged[place] ^= change
    for data in (bytes(damaged), GOOD[:length]):
        with suppress(ProtocolError):
            decode(data)


@pytest.mark.parametrize(('data', 'text'), [
    ([], 'is no object'), (dict(a=1, b=2), r"unknown fields \['b'\]"), (dict(a='1'), "'a' is"),
    (dict(a=True), "'a' is"), ({}, "'a' is missing")])
def test_fields(data, text):
    with pytest.raises(ProtocolError, match=text):
        fields(data, dict(a=(int, )), 'it')
    assert fields(dict(a=1), dict(a=(int, ), c=(str, type(None))), 'it') == dict(a=1)


@pytest.mark.parametrize(('kind', 'error'), [
    ('float32', 0), ('float16', 1e-3), ('bfloat16', 8e-3), ('int8', 1 / 127)])
def test_rows_travel(kind, error):
    rows = torch.randn(5, 19, generator=torch.Generator().manual_seed(0))
    rows[2] = 0
    found = unpack_rows(pack_rows(rows, kind, 'x'), kind, 'x', (5, 19))
    assert ((found - rows).abs() <= error * rows.abs().amax(1, keepdim=True)).all()


def test_signs_travel():
    rows = torch.randn(5, 19, generator=torch.Generator().manual_seed(0))
    packed = pack_rows(rows, 'sign', 'x')
    assert packed['x'].shape == (5, 3)
    found = unpack_rows(packed, 'sign', 'x', (5, 19))
    assert torch.equal(found > 0, rows > 0)
    torch.testing.assert_close(found.abs(), rows.abs().mean(1, keepdim=True).expand(5, 19))


def test_float16_does_not_overflow():
    found = unpack_rows(pack_rows(torch.full((1, 2), 1e9), 'float16', 'x'), 'float16', 'x', (1, 2))
    assert (found == 65504).all()


@pytest.mark.parametrize('kind', WIRE_TYPES)
def test_rows_of_another_shape_or_not_finite(kind):
    packed = pack_rows(torch.ones(4, 8), kind, 'x')
    for shape in ((4, 17), (3, 8), (0, 8)):
        with pytest.raises(ProtocolError, match='expected'):
            unpack_rows(packed, kind, 'x', shape)
    with pytest.raises(ProtocolError, match='expected'):
        unpack_rows({}, kind, 'x', (4, 8))
    with pytest.raises(ProtocolError, match='expected'):
        unpack_rows(dict(packed, x=torch.zeros(4, 8, dtype=torch.int64)), kind, 'x', (4, 8))
    name = 'x.scale' if kind in ('int8', 'sign') else 'x'
    with pytest.raises(ProtocolError, match='not finite'):
        unpack_rows(dict(packed, **{name: torch.full_like(packed[name], float('nan'))}), kind,
                    'x', (4, 8))


def test_scales_that_overflow():
    packed = pack_rows(torch.ones(1, 8), 'int8', 'x')
    packed['x.scale'] = torch.full((1, ), 3e38)
    with pytest.raises(ProtocolError, match='overflows'):
        unpack_rows(packed, 'int8', 'x', (1, 8))
