"""Keys: files that are private and whole, derivation against RFC 5869 and known answers."""
from __future__ import annotations

import copy
import hashlib
import hmac
import itertools
import os
import pickle
import signal
import stat
import traceback

from mmppvit.encryption import DERIVATIONS, Key, KeyFileError, keys, permutation

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

SECRET = bytes(range(32))
FINGERPRINT = 'acf8b3be48cdee1bdccb9431f0f937f5'
WHOLE = f'mmppvit key 1\n{SECRET.hex()}\n{FINGERPRINT}\n'.encode()
NONCE = bytes.fromhex('defa612f0577bd4d2230a338a5da1d58')
SUB_KEY = bytes.fromhex('f3ee496c9c33c9a930b5d8e3f7dcd0b6584ff9a90cf7e89aeb67761791afb364')


@pytest.fixture
def key_file(tmp_path):
    """``key_file(content, mode)`` writes a file as it is and returns its path."""

    def write(content: bytes = WHOLE, mode: int = 0o600):
        path = tmp_path / 'some.key'
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write


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


def _slow_hkdf(secret: bytes, info: bytes, salt: bytes = b'', length: int = 32) -> bytes:
    """RFC 5869 with SHA-256, from its text."""
    extracted = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    out = block = b''
    for number in range(1, -(-length // 32) + 1):
        block = hmac.new(extracted, block + info + bytes([number]), hashlib.sha256).digest()
        out += block
    return out[:length]


def _slow_permutation(sub_key: bytes, count: int) -> list[int]:
    """The docstring, from single AES blocks and Python integers of a stated byte order."""
    block = Cipher(algorithms.AES(sub_key), modes.ECB()).encryptor()
    stream = b''.join(block.update(i.to_bytes(16, 'big')) for i in range(-(-count // 2)))
    draws = [int.from_bytes(stream[8 * i:8 * i + 8], 'little') for i in range(count)]
    return sorted(range(count), key=draws.__getitem__)


def _says_secret(text: str | bytes, secret: bytes = SECRET) -> bool:
    text = text.encode() if isinstance(text, str) else text
    return (secret in text or secret.hex().encode() in text.lower()
            or repr(secret).encode()[2:-1] in text)


def test_the_reference_is_that_of_the_rfc():
    """RFC 5869, test cases 1 and 3."""
    assert _slow_hkdf(b'\x0b' * 22, bytes(range(0xf0, 0xfa)), bytes(range(13)), 42).hex() == (
        '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865')
    assert _slow_hkdf(b'\x0b' * 22, b'', length=42).hex() == (
        '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8')


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
    with pytest.raises(KeyFileError, match=r'no key file .*a\.key: make one with tools/keygen\.py'):
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


FOREIGN = 'is not a key file of this version.*tools/keygen'
DAMAGED = 'is a damaged key file: it was cut short or edited; restore it from a copy'
HEX = SECRET.hex().encode()


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
    (WHOLE + bytes(1024), 'is not a key file: it is longer than 1024 bytes'),
    (bytes(10**6), 'is not a key file: it is longer than 1024 bytes'),
])
def test_foreign_and_damaged_files(key_file, content, message):
    with pytest.raises(KeyFileError, match=message) as caught:
        Key.load(key_file(content))
    assert not _says_secret(''.join(traceback.format_exception(caught.value)))


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
    assert not _says_secret(message)


@pytest.mark.parametrize('length', [0, 16, 31, 33, 64])
def test_a_secret_of_another_length(length):
    with pytest.raises(KeyFileError, match=f'a key has 32 bytes, got {length}') as caught:
        Key(bytes(range(length)))
    assert not _says_secret(str(caught.value), bytes(range(length)) or b'none')


def test_the_secret_is_in_no_text(key_file):
    key = Key.load(key_file())
    for text in (repr(key), str(key), f'{key}', f'{[key]} {dict(key=key)}'):
        assert FINGERPRINT in text
        assert not _says_secret(text)


def test_the_secret_is_in_no_pickle(key_file):
    key = Key.load(key_file())
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(key, protocol)
        assert not _says_secret(pickled)
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
