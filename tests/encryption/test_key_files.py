"""Key files: private, never overwritten, and read whole or not at all."""
from __future__ import annotations

import os
import signal
import stat
import traceback

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import DERIVATIONS, Key, KeyFileError
from tests.encryption.known_key import FINGERPRINT, HEX, NONCE, SECRET, SUB_KEY, WHOLE, says_secret

FOREIGN = 'is not a key file of this version.*mmppvit keygen'
DAMAGED = 'is a damaged key file: it was cut short or edited; restore it from a copy'
TOO_LONG = 'is not a key file: it is longer than 1024 bytes'


@pytest.fixture(scope='module')
def fuzzed(tmp_path_factory):
    """A private file for tests of Hypothesis, which may not have one of each example."""
    path = tmp_path_factory.mktemp('keys') / 'fuzzed.key'
    path.touch(0o600)
    return path


@pytest.fixture
def umask():
    """Sets the umask; the old one comes back."""
    old = os.umask(0o022)
    yield os.umask
    os.umask(old)


@pytest.mark.parametrize('mask', [0, 0o022, 0o077])
def test_a_new_key_is_private_whatever_the_umask(tmp_path, umask, mask):
    umask(mask)
    Key.create(tmp_path / 'new.key')
    assert stat.S_IMODE((tmp_path / 'new.key').stat().st_mode) == 0o600


def test_a_new_key_has_256_bits_of_its_own(tmp_path):
    secrets = set()
    for i in range(20):
        key = Key.create(tmp_path / f'{i}.key')
        header, secret, fingerprint, end = (tmp_path / f'{i}.key').read_bytes().split(b'\n')
        assert (header, end) == (b'mmppvit key 1', b'')
        assert fingerprint.decode() == key.fingerprint
        assert len(bytes.fromhex(secret.decode())) == 32
        secrets.add(secret)
    assert len(secrets) == 20
    joined = np.frombuffer(bytes.fromhex(b''.join(secrets).decode()), np.uint8)
    assert abs(np.unpackbits(joined).mean() - .5) < .05  # 5120 bits: seven standard deviations


@pytest.mark.parametrize('existing', ['key', 'empty', 'folder', 'link', 'dangling'])
def test_nothing_is_ever_overwritten(tmp_path, key_file, existing):
    path = tmp_path / 'taken'
    if existing == 'folder':
        path.mkdir()
    elif existing == 'dangling':
        path.symlink_to(tmp_path / 'nowhere')
    elif existing == 'link':
        path.symlink_to(key_file())
    else:
        path.write_bytes(WHOLE if existing == 'key' else b'')
    with pytest.raises(KeyFileError, match=r'taken exists; keys are never overwritten.*another'):
        Key.create(path)
    assert not (tmp_path / 'nowhere').exists()
    if path.is_file():
        assert path.read_bytes() == (b'' if existing == 'empty' else WHOLE)


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(KeyFileError, match=r'new\.key cannot be written: No such file'):
        Key.create(tmp_path / 'missing/new.key')


@pytest.mark.parametrize('kind', [str, lambda path: path])
def test_what_is_created_can_be_loaded(tmp_path, kind):
    made = Key.create(kind(tmp_path / 'new.key'))
    read = Key.load(kind(tmp_path / 'new.key'))
    assert read.fingerprint == made.fingerprint
    assert read.sub_key('a', NONCE) == made.sub_key('a', NONCE)


def test_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    made = Key.create('~/home.key')
    assert (tmp_path / 'home.key').is_file()
    assert Key.load('~/home.key').fingerprint == made.fingerprint


def test_a_key_file_of_version_1_is_read_for_ever(key_file):
    assert DERIVATIONS == (1, )
    key = Key.load(key_file())
    assert key.fingerprint == FINGERPRINT
    assert key.sub_key('street.jpg', NONCE) == SUB_KEY


@pytest.mark.parametrize('mode', [0o600, 0o400, 0o700])
def test_modes_of_the_owner_alone(key_file, mode):
    assert Key.load(key_file(mode=mode)).fingerprint == FINGERPRINT


@pytest.mark.parametrize('mode', [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o777])
def test_a_file_open_to_others_is_refused(key_file, mode):
    path = key_file(mode=mode)
    with pytest.raises(KeyFileError, match=rf'by others \(mode {mode:04o}\): chmod 600 {path}'):
        Key.load(path)
    path.chmod(0o600)  # the remedy
    Key.load(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(KeyFileError, match=r'no key file .*a\.key: make one with `mmppvit keygen`'):
        Key.load(tmp_path / 'a.key')


def test_a_folder(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(KeyFileError, match='cannot be read: Is a directory'):
        Key.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='the system has no named pipes')
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe', 0o600)

    def stop(*_) -> None:
        raise AssertionError('waits for a writer')

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    try:
        with pytest.raises(KeyFileError, match='pipe is not a regular file'):
            Key.load(tmp_path / 'pipe')
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


@pytest.mark.skipif(not os.path.exists('/dev/zero'), reason='the system has no /dev/zero')
def test_a_device_is_refused():
    with pytest.raises(KeyFileError, match='/dev/zero is not a regular file'):
        Key.load('/dev/zero')


@pytest.mark.parametrize(('content', 'message'), [
    (b'', FOREIGN),
    (b'\n', FOREIGN),
    (SECRET, FOREIGN),
    (HEX, FOREIGN),
    (b'-----BEGIN PRIVATE KEY-----\nMIIE\n', FOREIGN),
    (b'\x89PNG\r\n\x1a\n' + bytes(40), FOREIGN),
    (b'\xef\xbb\xbf' + WHOLE, FOREIGN),
    (WHOLE.replace(b'\n', b'\r\n'), FOREIGN),
    (WHOLE.replace(b'key 1', b'key 2'), FOREIGN),
    (b'\n' + WHOLE, FOREIGN),
    (WHOLE.replace(b'1f\n', b'1e\n'), DAMAGED),
    (WHOLE.replace(b'00', b'0g'), DAMAGED),
    (WHOLE.replace(b'00', '\u0660\u0660'.encode()), DAMAGED),
    (WHOLE.replace(b'00', b'\xff\xff'), DAMAGED),
    (WHOLE.replace(b'00', b''), DAMAGED),
    (WHOLE.replace(b'00', b'0000'), DAMAGED),
    (WHOLE.replace(FINGERPRINT[:2].encode(), b'00'), DAMAGED),
    (WHOLE.replace(FINGERPRINT.encode(), b''), DAMAGED),
    (WHOLE.replace(HEX, FINGERPRINT.encode()), DAMAGED),
    (WHOLE + b'\n', DAMAGED),
    (WHOLE + b'more', DAMAGED),
    (WHOLE + WHOLE, DAMAGED),
    pytest.param(WHOLE + bytes(1024), TOO_LONG, id='one kilobyte more'),
    pytest.param(bytes(10**6), TOO_LONG, id='a megabyte'),
])
def test_foreign_and_damaged_files(key_file, content, message):
    with pytest.raises(KeyFileError, match=message) as caught:
        Key.load(key_file(content))
    assert not says_secret(''.join(traceback.format_exception(caught.value)))


def test_a_file_cut_short_at_any_byte(key_file):
    for length in range(len(WHOLE)):
        with pytest.raises(KeyFileError, match=FOREIGN if length < 13 else DAMAGED):
            Key.load(key_file(WHOLE[:length]))


def test_every_edited_digit_is_noticed(key_file):
    start = len(b'mmppvit key 1\n')
    for place in range(start, len(WHOLE)):
        edited = bytearray(WHOLE)
        edited[place] ^= 1
        with pytest.raises(KeyFileError, match=DAMAGED):
            Key.load(key_file(bytes(edited)))


@given(st.binary(max_size=1100))
def test_rubbish_is_always_a_key_file_error(fuzzed, content):
    for head in (b'', b'mmppvit key 1\n', b'mmppvit key 1\n' + HEX + b'\n'):
        fuzzed.write_bytes(head + content)
        with pytest.raises(KeyFileError):
            Key.load(fuzzed)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3),
                          st.integers(0, 3)), min_size=1, max_size=3))
@settings(max_examples=200)
def test_an_edited_file_is_refused_or_the_same_key(fuzzed, edits):
    """Hex has several spellings; another key never comes out."""
    content = WHOLE
    for place, new, cut in edits:
        content = content[:place] + new + content[place + cut:]
    fuzzed.write_bytes(content)
    message = ''
    try:
        assert Key.load(fuzzed).sub_key('street.jpg', NONCE) == SUB_KEY
    except KeyFileError:
        message = traceback.format_exc()
    assert not says_secret(message)
