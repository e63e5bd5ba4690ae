"""Keys wrapped by a passphrase: they come back by it, and by nothing else."""
from __future__ import annotations

import json
import stat
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import Key, KeyFileError, wrapped_keys
from mmppvit.encryption.wrapped_keys import (
    create_wrapped,
    is_wrapped,
    read_fingerprint,
    unwrap_key,
    wrap_key,
)
from tests.encryption.known_key import FINGERPRINT, HEX, SECRET, says_secret

STRENGTH = wrapped_keys.SCRYPT


@pytest.fixture(scope='module', autouse=True)
def quick():
    """scrypt of 16 KiB, for the speed of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wrapped_keys, 'SCRYPT', dict(n=2**4, r=8, p=1))
        yield


def _edit(text: str, **fields) -> str:
    header, line, _ = text.split('\n')
    return f'{header}\n{json.dumps(json.loads(line) | fields)}\n'


@pytest.mark.parametrize('passphrase', ['a', 'correct horse battery staple', 'pässwörd ☂', ' a '])
def test_it_comes_back(passphrase):
    text = wrap_key(Key(SECRET), passphrase)
    assert is_wrapped(text)
    assert unwrap_key(text, passphrase, 'x').sub_key('a', b'b') == Key(SECRET).sub_key('a', b'b')
    assert HEX.decode() not in text
    for other in ('', passphrase + ' ', passphrase.upper() + 'x'):
        with pytest.raises(KeyFileError, match='x: the passphrase is wrong') as caught:
            unwrap_key(text, other, 'x')
        assert not says_secret(str(caught.value))
        assert passphrase not in str(caught.value) or len(passphrase) == 1


def test_no_two_files_are_alike():
    """Salt and nonce are drawn anew, so that equal keys and passphrases are not seen to be."""
    texts = {wrap_key(Key(SECRET), 'same') for _ in range(5)}
    fields = [json.loads(text.split('\n')[1]) for text in texts]
    for name in ('salt', 'nonce', 'ciphertext'):
        assert len({field[name] for field in fields}) == 5


def test_an_empty_passphrase_is_refused():
    with pytest.raises(KeyFileError, match='the passphrase is empty'):
        wrap_key(Key(SECRET), '')


def test_the_strength_is_what_is_said():
    """128 MiB for every guess; the fixture of this module lowers it for the other tests."""
    assert dict(n=2**17, r=8, p=1) == STRENGTH


@pytest.mark.parametrize('edit', [
    dict(n=2**5), dict(r=4), dict(p=2), dict(salt='00' * 16), dict(nonce='00' * 12),
    dict(fingerprint='00' * 16), dict(ciphertext='00' * 48)])
def test_everything_is_authenticated(edit):
    text = wrap_key(Key(SECRET), 'p')
    with pytest.raises(KeyFileError, match='the passphrase is wrong, or the file was edited'):
        unwrap_key(_edit(text, **edit), 'p', 'x')


@pytest.mark.parametrize('edit', [
    dict(n=2**21), dict(r=9999), dict(p=5), dict(n=0), dict(n=1), dict(n=3), dict(n='16'),
    dict(n=True), dict(kdf='md5'), dict(salt='00'), dict(salt=None), dict(ciphertext=''),
    dict(more=1)])
def test_what_no_wrapped_file_has(edit):
    """Among it parameters of scrypt that would take all of the memory."""
    text = wrap_key(Key(SECRET), 'p')
    with pytest.raises(KeyFileError, match='x is a damaged key file'):
        unwrap_key(_edit(text, **edit), 'p', 'x')


@given(st.integers(0, 400), st.binary(max_size=8))
@settings(max_examples=150)
def test_a_damaged_file_is_one_error(place, inserted):
    text = wrap_key(Key(SECRET), 'p')
    damaged = text[:place] + inserted.decode('latin-1') + text[place + len(inserted):]
    with suppress(KeyFileError):
        assert unwrap_key(damaged, 'p', 'x').fingerprint == FINGERPRINT


def test_a_file_of_it(tmp_path):
    path = tmp_path / 'owner.key'
    key = create_wrapped(path, lambda: 'p')
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_fingerprint(path) == key.fingerprint
    assert unwrap_key(path.read_text(), 'p', path).fingerprint == key.fingerprint
    assert [entry.name for entry in tmp_path.iterdir()] == ['owner.key']
    with pytest.raises(TypeError, match='keys are not pickled'):
        key.__reduce__()


def test_nothing_is_overwritten_and_nobody_is_asked(tmp_path):
    path = tmp_path / 'owner.key'
    Key.create(path)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match='exists; keys are never overwritten'):
        create_wrapped(path, lambda: pytest.fail('asked for a passphrase'))
    with pytest.raises(KeyFileError, match='exists; keys are never overwritten'):
        wrapped_keys.write_private(path, 'x')
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ['owner.key']
    with pytest.raises(KeyFileError, match='cannot be written: No such file or directory'):
        create_wrapped(tmp_path / 'none/owner.key', lambda: 'p')


def test_the_fingerprint_of_a_plain_key_file(tmp_path):
    key = Key.create(tmp_path / 'a.key')
    assert read_fingerprint(tmp_path / 'a.key') == key.fingerprint
