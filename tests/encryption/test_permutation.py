"""The order of the patches that a sub-key gives: one of all, each as likely as any other."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.encryption import Key, keys, permutation
from tests.encryption.known_key import NONCE, SECRET, SUB_KEY


def _slow_permutation(sub_key: bytes, count: int) -> list[int]:
    """The docstring, from single AES blocks and Python integers of a stated byte order."""
    block = Cipher(algorithms.AES(sub_key), modes.ECB()).encryptor()
    stream = b''.join(block.update(i.to_bytes(16, 'big')) for i in range(-(-count // 2)))
    draws = [int.from_bytes(stream[8 * i:8 * i + 8], 'little') for i in range(count)]
    return sorted(range(count), key=draws.__getitem__)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 70))
def test_permutation_equals_the_definition(sub_key, count):
    order = permutation(sub_key, count)
    assert order.dtype == np.int64
    assert order.shape == (count, )
    assert order.tolist() == _slow_permutation(sub_key, count)
    assert sorted(order.tolist()) == list(range(count))
    np.testing.assert_array_equal(order, permutation(sub_key, count))


@pytest.mark.parametrize('count', [0, 1, 2, 3, 4200, 100_000])
def test_permutation_of_any_size(count):
    np.testing.assert_array_equal(np.sort(permutation(SUB_KEY, count)), np.arange(count))


def test_permutations_of_other_sub_keys_differ():
    orders = {permutation(Key(SECRET).sub_key(str(i), NONCE), 30).tobytes() for i in range(500)}
    assert len(orders) == 500


# What chi-square exceeds with a chance of 1e-4, by degrees of freedom.
CRITICAL = {5: 25.745, 23: 57.075, 49: 94.597}


@pytest.mark.parametrize('count', [3, 4])
def test_every_order_is_equally_likely(count):
    every = dict.fromkeys(itertools.permutations(range(count)), 0)
    draws = 200 * len(every)
    for i in range(draws):
        every[tuple(permutation(Key(SECRET).sub_key(f'{count}/{i}', NONCE), count).tolist())] += 1
    statistic = sum((seen - 200)**2 / 200 for seen in every.values())
    assert statistic < CRITICAL[len(every) - 1]


def test_every_place_is_equally_likely():
    key, draws, count = Key(SECRET), 4000, 8
    seen = np.zeros((count, count))
    for i in range(draws):
        seen[np.arange(count), permutation(key.sub_key(str(i), NONCE), count)] += 1
    expected = draws / count
    # Rows and columns add up, which leaves (n - 1)**2 degrees of freedom.
    statistic = ((seen - expected)**2).sum() / expected * (count - 1) / count
    assert statistic < CRITICAL[(count - 1)**2]


def test_equal_draws_are_drawn_again(monkeypatch):
    """Which no test could wait for: a stable sort of them would prefer the lower index."""
    streams = [[5, 7, 5, 1], [3, 3, 3, 3], [40, 10, 30, 20]]

    class Stream:

        def __init__(self, *_) -> None:
            pass

        def encryptor(self):
            return self

        def update(self, zeros: bytes) -> bytes:
            assert zeros == bytes(32)
            return np.array(streams.pop(0), '<u8').tobytes()

    monkeypatch.setattr(keys, 'Cipher', Stream)
    assert permutation(SUB_KEY, 4).tolist() == [1, 3, 2, 0]
    assert streams == []


@pytest.mark.parametrize('length', [0, 16, 24, 31, 33])
def test_a_sub_key_of_another_length(length):
    with pytest.raises(ValueError, match='key'):
        permutation(bytes(length), 4)
