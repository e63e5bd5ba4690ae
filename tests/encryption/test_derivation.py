"""What is derived from a key, against RFC 5869 and known answers."""
from __future__ import annotations

import hashlib
import hmac
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.encryption import Key, permutation
from tests.encryption.known_key import FINGERPRINT, NONCE, SECRET, SUB_KEY


def _slow_hkdf(secret: bytes, info: bytes, salt: bytes = b'', length: int = 32) -> bytes:
    """RFC 5869 with SHA-256, from its text."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out = block = b''
    for number in range(1, -(-length // 32) + 1):
        block = hmac.new(extracted, block + info + bytes([number]), hashlib.sha256).digest()
        out += block
    return out[:length]


def test_the_reference_is_that_of_the_rfc():
    """RFC 5869, test cases 1 and 3."""
    assert _slow_hkdf(b'\x0b' * 22, bytes(range(0xf0, 0xfa)), bytes(range(13)), 42).hex() == (
        '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865')
    assert _slow_hkdf(b'\x0b' * 22, b'', length=42).hex() == (
        '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8')


def test_known_answers():
    """Whoever changes these numbers makes all that was sealed unreadable."""
    key = Key(SECRET)
    assert key.fingerprint == FINGERPRINT
    assert key.nonce(np.arange(6, dtype=np.uint8).reshape(2, 3)) == NONCE
    assert key.sub_key('street.jpg', NONCE) == SUB_KEY
    assert permutation(SUB_KEY, 12).tolist() == [0, 4, 9, 10, 7, 1, 5, 3, 11, 2, 6, 8]
    assert key.sign(b'abc') == 'f9faad538d5787ca86c27eb1ff3727aecd8957ecaf08471c8ae9f621632831bb'


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(codec='utf-8'), max_size=40),
       st.binary(min_size=16, max_size=16), st.binary(max_size=50))
def test_derivation_equals_the_definition(secret, image_id, nonce, content):
    key = Key(secret)
    assert key.fingerprint == _slow_hkdf(secret, b'mmppvit/1/fingerprint', length=16).hex()
    assert key.sub_key(image_id, nonce) == _slow_hkdf(
        secret, b'mmppvit/1/shuffle/' + image_id.encode(), nonce)
    assert key.nonce(content) == hmac.new(
        _slow_hkdf(secret, b'mmppvit/1/nonce'), b'%d\n' % len(content) + content,
        'sha256').digest()[:16]
    assert key.sign(content) == hmac.new(
        _slow_hkdf(secret, b'mmppvit/1/sign'), content, 'sha256').hexdigest()


def test_nonces_tell_contents_apart():
    """Also those whose bytes are the same one after the other."""
    numbers = np.arange(6, dtype=np.uint8)
    contents = [
        (), (b'', ), (b'', b''), (b'a', ), (b'ab', b'c'), (b'a', b'bc'), (b'abc', ),
        (b'a', b'b', b'c'), (b'1\na', ), (numbers.tobytes(), ), (numbers, ),
        (numbers.reshape(2, 3), ), (numbers.reshape(3, 2), ), (numbers.reshape(2, 3, 1), ),
        (numbers.view(np.int8), ), (numbers.view(np.uint16), ), (numbers.view('>u2'), ),
        (numbers + 1, ), (numbers[:5], ), (numbers[:3], numbers[3:]), (numbers[:0], )]
    nonces = {key.nonce(*content) for key in (Key(SECRET), Key(bytes(32)))
              for content in contents}
    assert len(nonces) == 2 * len(contents)
    assert {len(nonce) for nonce in nonces} == {16}


@pytest.mark.parametrize('layout', [
    np.asfortranarray, lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x[::-1].copy()[::-1]])
def test_nonces_do_not_depend_on_the_memory_layout(layout):
    img = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    assert Key(SECRET).nonce(layout(img)) == Key(SECRET).nonce(img)


def test_sub_keys_differ_by_key_image_and_nonce():
    ids = ['', '1', '2', '12', 'a.jpg', 'A.jpg', 'a/b.jpg', 'ä.jpg', 'a.jpg ']
    sub_keys = {Key(secret).sub_key(image_id, nonce)
                for secret, image_id, nonce in itertools.product(
                    [SECRET, bytes(32)], ids, [NONCE, bytes(15) + b'\1', bytes(15) + b'\2'])}
    assert len(sub_keys) == 2 * 3 * len(ids)
    assert {len(sub_key) for sub_key in sub_keys} == {32}
