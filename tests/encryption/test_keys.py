"""Keys in memory: they stay out of texts and pickles."""
from __future__ import annotations

import copy
import pickle

import pytest

from mmppvit.encryption import Key, KeyFileError
from tests.encryption.known_key import FINGERPRINT, NONCE, SECRET, SUB_KEY, says_secret


@pytest.mark.parametrize('length', [0, 16, 31, 33, 64])
def test_a_secret_of_another_length(length):
    with pytest.raises(KeyFileError, match=f'a key has 32 bytes, got {length}') as caught:
        Key(bytes(range(length)))
    assert not says_secret(str(caught.value), bytes(range(length)) or b'none')


def test_the_secret_is_in_no_text(key_file):
    key = Key.load(key_file())
    for text in (repr(key), str(key), f'{key}', f'{[key]} {dict(key=key)}'):
        assert FINGERPRINT in text
        assert not says_secret(text)


def test_the_secret_is_in_no_pickle(key_file):
    key = Key.load(key_file())
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(key, protocol)
        assert not says_secret(pickled)
        again = pickle.loads(pickled)
        assert again.fingerprint == FINGERPRINT
        assert again.sub_key('street.jpg', NONCE) == SUB_KEY


@pytest.mark.parametrize('make', [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_without_a_file_is_not_pickled(make):
    with pytest.raises(TypeError, match='this key has no file, and keys are not pickled'):
        make(Key(SECRET))


def test_unpickling_reads_the_file_again(key_file):
    key = Key.load(key_file())
    pickled = pickle.dumps(key)
    path = key_file(mode=0o644)
    with pytest.raises(KeyFileError, match='can be read by others'):
        pickle.loads(pickled)
    path.unlink()
    with pytest.raises(KeyFileError, match='no key file'):
        pickle.loads(pickled)
    with pytest.raises(KeyFileError, match='no key file'):
        copy.deepcopy(key)


def test_a_new_key_can_be_pickled(tmp_path):
    key = Key.create(tmp_path / 'new.key')
    assert pickle.loads(pickle.dumps(key)).fingerprint == key.fingerprint
