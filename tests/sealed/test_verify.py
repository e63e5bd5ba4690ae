"""Every way in which a sealed data set may have changed is found, and nothing else is."""
from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import SCHEMES, Key, Scheme, pad_to_patches
from mmppvit.sealed import (
    ANNOTATIONS,
    Manifest,
    ManifestError,
    SealJob,
    seal_dataset,
    verify_sealed,
)
from mmppvit.sealed.image_files import declared_size, encode_image
from mmppvit.sealed.pixels_only import extras_of, metadata_of
from mmppvit.sealed.verify import check_sealed, choose_subset

KEY = Key(bytes(range(32)))


def _scheme(name: str, **options) -> Scheme:
    options = dict(center_strength=1. if 'center' in name else 0.) | options
    return Scheme(name, grid=2 if 'mix' in name else 1, **options)


@pytest.fixture(scope='module', params=['png', 'webp'])
def sealed(tmp_path_factory, request) -> Path:
    root = tmp_path_factory.mktemp('verify')
    drawn = write_synthetic_shapes(root / 'set', 3, 1, (80, 64))
    seal_dataset(SealJob(drawn / 'train2017', root / 'sealed', Scheme('mix+shuffle'),
                         drawn / 'annotations/instances_train2017.json', KEY,
                         image_format=request.param))
    return root / 'sealed'


@pytest.fixture
def copy(sealed, tmp_path) -> Path:
    return shutil.copytree(sealed, tmp_path / 'copy')


def _paths(root: Path) -> list[Path]:
    return [root / image.file for image in Manifest.load(root).images]


def _relist(root: Path, key: Key | None = None) -> None:
    """Make a manifest again that fits the files as they are."""
    manifest = Manifest.load(root)
    manifest.annotations = hashlib.sha256((root / ANNOTATIONS).read_bytes()).hexdigest()
    for i, image in enumerate(manifest.images):
        content = (root / image.file).read_bytes()
        manifest.images[i] = replace(image, bytes=len(content),
                                       sha256=hashlib.sha256(content).hexdigest())
    manifest.save(key)


def _flip_byte(root: Path) -> None:
    path = _paths(root)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _swap(root: Path) -> None:
    first, second, _ = _paths(root)
    first.rename(root / 'other')
    second.rename(first)
    (root / 'other').rename(second)


def _plain_beside(root: Path) -> None:
    cv2.imwrite(str(root / 'images/plain.jpg'), np.zeros((9, 9, 3), np.uint8))


def _link_beside(root: Path) -> None:
    (root / 'more').symlink_to('..')


def _annotations(**fields):
    def change(root: Path) -> None:
        data = json.loads((root / ANNOTATIONS).read_text())
        data['images'][0].update(fields)
        (root / ANNOTATIONS).write_text(json.dumps(data))
    return change


CHANGES = [
    (lambda root: None, []),
    (_flip_byte, ['is not what was sealed']),
    (_swap, ['is not what was sealed'] * 2),
    (lambda root: _paths(root)[2].unlink(), ['cannot be read']),
    (lambda root: _paths(root)[2].write_bytes(b''), ['is not what was sealed']),
    (_plain_beside, ['images/plain.jpg: is not part']),
    (_link_beside, ['more: is not part']),
    (lambda root: (root / 'images/\udcff.jpg').touch(), [r'\udcff.jpg: is not part']),
    (_annotations(width=81), ['annotations.json is missing or not what was sealed']),
    (lambda root: (root / ANNOTATIONS).unlink(), ['annotations.json is missing']),
]


@pytest.mark.parametrize('key', [None, KEY], ids=['no-key', 'key'])
@pytest.mark.parametrize(('change', 'expected'), CHANGES, ids=[
    'none', 'byte', 'swap', 'missing', 'empty', 'plain-beside', 'link-beside', 'odd-name',
    'annotations', 'no-annotations'])
def test_changes_are_found(copy, key, change, expected):
    change(copy)
    found, done = [], []
    found = list(verify_sealed(copy, key, lambda *a: done.append(a)))
    assert len(found) == len(expected), found
    assert all(words in line for words, line in zip(expected, found, strict=True)), found
    assert done == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(('change', 'expected'), [
    (_annotations(width=81), '(81, 64) in the json and (80, 64) in the manifest'),
    (_annotations(file_name='x.png'), 'x.png: is in the json only'),
    (_annotations(file_name=7), '7: is in the json only'),
    (_annotations(file_name=None), 'None: is in the json only'),
    (lambda root: (root / ANNOTATIONS).write_text('[1]'), 'is not a COCO json'),
    (lambda root: (root / ANNOTATIONS).write_text('{"images": [NaN]}'), 'is not JSON'),
    (lambda root: _paths(root)[0].write_bytes(b'text'), 'not an image'),
    (lambda root: _paths(root)[0].write_bytes(cv2.imencode(
        '.png', np.zeros((8, 8, 3), np.uint8))[1].tobytes()), 'is 8x8 and should be 40x32'),
    (lambda root: _paths(root)[0].write_bytes(cv2.imencode(
        '.jpg', cv2.imread(str(_paths(root)[0])))[1].tobytes()), 'neither PNG nor WebP'),
], ids=['size', 'name', 'number', 'none', 'list', 'nan', 'text', 'small', 'jpeg'])
def test_a_manifest_made_to_fit_does_not_help(copy, change, expected):
    """Without the key the change itself is found; with it, the signature is what fails."""
    change(copy)
    _relist(copy)
    assert any(expected in problem for problem in verify_sealed(copy))
    with pytest.raises(ManifestError, match='signed'):
        list(verify_sealed(copy, KEY))


def test_only_the_signature_tells_of_new_boxes(copy):
    """Without the key, a json and a manifest that fit each other are all there is to check."""
    data = json.loads((copy / ANNOTATIONS).read_text())
    data['annotations'].pop()
    (copy / ANNOTATIONS).write_text(json.dumps(data))
    _relist(copy)
    assert not list(verify_sealed(copy))
    with pytest.raises(ManifestError, match='signed'):
        list(verify_sealed(copy, KEY))
    with pytest.raises(ManifestError, match='name the key file'):
        list(verify_sealed(copy, Key(bytes(32))))


def test_a_key_that_was_not_used(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((16, 16, 3), np.uint8))
    (tmp_path / 'plain').mkdir()
    (tmp_path / 'a.png').rename(tmp_path / 'plain/a.png')
    seal_dataset(SealJob(tmp_path / 'plain', tmp_path / 'sealed', Scheme('mix')))
    assert not list(verify_sealed(tmp_path / 'sealed'))
    with pytest.raises(ManifestError, match='sealed without a key'):
        list(verify_sealed(tmp_path / 'sealed', KEY))


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack('>I', len(content)) + kind + content + \
        struct.pack('>I', zlib.crc32(kind + content))


def _hide_in(content: bytes, how: str) -> bytes:
    if how.isdecimal():
        return content + b'x' * int(how)
    if content[:4] == b'RIFF':
        chunk = how.encode().ljust(4) + struct.pack('<I', 6) + b'secret'
        return b'RIFF' + struct.pack('<I', len(content) + len(chunk) - 8) + content[8:] + chunk
    return content[:33] + _png_chunk(how.encode(), b'secret') + content[33:]  # after IHDR


@pytest.mark.parametrize('how', ['tEXt', 'eXIf', 'EXIF', '1', '5', '11', '500'])
def test_metadata_is_found(copy, how):
    path = _paths(copy)[1]
    hidden = _hide_in(path.read_bytes(), how)
    assert not metadata_of(path.read_bytes())
    assert metadata_of(hidden)
    path.write_bytes(hidden)
    _relist(copy, KEY)
    found = list(verify_sealed(copy, KEY))
    assert len(found) == 1, found
    assert path.name in found[0]


def test_a_second_image_in_a_webp_is_found():
    content = encode_image(np.zeros((16, 16, 3), np.uint8), 'webp')
    assert metadata_of(_hide_in(content, 'VP8L')) == ['VP8L']


@pytest.mark.parametrize('kind', ['tEXt', 'eXIf', 'iTXt', 'prVt'])
def test_metadata_is_named(kind):
    content = encode_image(np.zeros((16, 16, 3), np.uint8), 'png')
    assert metadata_of(_hide_in(content, kind)) == [kind]


# --- pixels and nothing else ---------------------------------------------------------------------


def _png(img: np.ndarray, stream: bytes, color: int = 2) -> bytes:
    head = struct.pack('>IIBBBBB', img.shape[1], img.shape[0], 8, color, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + _png_chunk(b'IHDR', head) + _png_chunk(b'IDAT', stream) + \
        _png_chunk(b'IEND', b'')


def _lines(img: np.ndarray) -> bytes:
    return b''.join(b'\0' + line.tobytes() for line in img)


def _with_alpha(img: np.ndarray) -> bytes:
    alpha = np.dstack([img[..., ::-1], img[..., 1]])
    return _png(img, zlib.compress(_lines(alpha), 0), 6)


def _webp_with_alpha(img: np.ndarray) -> bytes:
    """Lossless, with the image of the alpha channel that nobody sees."""
    rgba = np.dstack([img, np.random.default_rng(0).integers(0, 256, img.shape[:2], np.uint8)])
    return cv2.imencode('.webp', rgba, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()


def _webp_with_tail(img: np.ndarray) -> bytes:
    content = encode_image(img, 'webp')
    length = int.from_bytes(content[16:20], 'little')
    stream = content[20:20 + length] + b'plain image' * 20
    body = b'WEBPVP8L' + struct.pack('<I', len(stream)) + stream + b'\0' * (len(stream) % 2)
    return b'RIFF' + struct.pack('<I', len(body)) + body


@pytest.mark.parametrize(('make', 'expected'), [
    (_with_alpha, 'channels or bits'),
    (lambda img: _png(img, zlib.compress(_lines(img[..., ::-1]), 0) + b'JPEG' * 9),
     'bytes behind the stream'),
    (lambda img: _png(img, zlib.compress(_lines(img[..., ::-1]) + b'JPEG' * 9, 0)),
     'more bytes in the stream'),
    (lambda img: _png(img, zlib.compress(bytes(10**8))), 'more bytes in the stream'),
    (_webp_with_alpha, 'alpha|VP8X'), (_webp_with_tail, 'bytes behind the pixels'),
], ids=['alpha', 'behind', 'within', 'bomb', 'webp-alpha', 'webp-behind'])
def test_whatever_is_not_pixels_is_found(make, expected):
    img = np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)
    content = make(img)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    found = ' '.join(metadata_of(content)) or extras_of(content, decoded)
    assert re.search(expected, found)


@pytest.mark.parametrize('image_format', ['png', 'webp'])
@pytest.mark.parametrize('shape', [(1, 1), (16, 24), (200, 300)])
def test_files_of_any_encoder_are_pixels_alone(image_format, shape):
    """Also compressed and filtered, as another version of OpenCV may write them."""
    for seed, img in enumerate((np.zeros((*shape, 3), np.uint8), np.random.default_rng(1).integers(
            0, 256, (*shape, 3), np.uint8))):
        contents = [encode_image(img, image_format)]
        if image_format == 'png':
            packed = cv2.imencode('.png', img, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1]
            contents.append(packed.tobytes())
        for content in contents:
            assert extras_of(content, img) is None, seed
            assert declared_size(content) == shape[::-1]


def test_a_small_file_that_claims_to_be_huge_is_not_decoded(copy, monkeypatch):
    """Neither where the manifest says the truth, nor where it claims the same."""
    path = _paths(copy)[0]
    img = np.zeros((8, 8, 3), np.uint8)
    huge = _png(np.empty((30_000, 30_000, 0)), zlib.compress(_lines(img)))
    path.write_bytes(huge)
    _relist(copy)
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', lambda content, flags: 1 / 0 if
                        content.tobytes() == huge else decode(content, flags))
    assert any('is 30000x30000 and should be 40x32' in line for line in verify_sealed(copy))
    manifest = Manifest.load(copy)
    manifest.images[0] = replace(manifest.images[0], size=(30_000, 30_000), scaled=(60_000, 60_000))
    manifest.save()
    assert any('claims 900000000 pixels' in line for line in verify_sealed(copy))


# --- how much is good ----------------------------------------------------------------------------


def test_what_where_and_how_much_is_good(copy):
    _flip_byte(copy)
    report = check_sealed(copy, KEY)
    manifest = Manifest.load(copy)
    (problem, ) = report.problems
    assert problem.file == manifest.images[1].file
    assert (report.images, report.looked_into, report.good) == (3, 3, 2)
    assert report.good_bytes == sum(manifest.images[i].bytes for i in (0, 2))


@pytest.mark.parametrize(('subset', 'found'), [('1/3', 0), ('2/3', 1), ('100%', 1), (None, 1)])
def test_a_subset_is_looked_into(copy, subset, found):
    """The changed byte is in the second file; files that are missing are found in any case."""
    _flip_byte(copy)
    _paths(copy)[2].unlink()
    report = check_sealed(copy, KEY, subset=subset)
    assert len(report.problems) == found + 1
    assert report.looked_into == (1 if subset in ('1/3', '2/3') else 3)


def test_parts_make_the_whole():
    for count in (0, 1, 7, 10):
        parts = [set(choose_subset(f'{n}/4', count)) for n in (1, 2, 3, 4)]
        assert sum(map(len, parts)) == count
        assert set().union(*parts) == set(range(count))
    assert len(choose_subset('10%', 200)) == 20


@pytest.mark.parametrize('text', ['0/3', '4/3', '1/0', '0%', '101%', '', '1', '-1/3', '1e3%', '%'])
def test_what_is_no_subset(text):
    with pytest.raises(ValueError, match='is no part of the data'):
        choose_subset(text, 10)


def test_hostile_names_do_not_reach_the_terminal(copy):
    (copy / 'images' / 'a\x1b[2J\nall is well\u202e.png').touch()
    (problem, ) = verify_sealed(copy)
    assert problem.isprintable()
    assert r'a\x1b[2J\x0aall is well\u202e.png: is not part' in problem


# --- real images -------------------------------------------------------------------------------

VARIANTS = [
    *(_scheme(name) for name in SCHEMES),
    Scheme('mix', grid=4), Scheme('shuffle', grid=1, erode=2), Scheme('shuffle', grid=1, drop=.3),
    Scheme('mix+shuffle', erode=1, drop=.1), _scheme('mix+center', center_strength=.5),
    _scheme('mix+center', normalize=True), _scheme('mix+center+shuffle', erode=1, drop=.2),
    _scheme('mix+center+shuffle', normalize=True, center_strength=.75),
    _scheme('mix+center+shuffle', center_strength=1., gain=4.),
]


@pytest.fixture(scope='module')
def photos(bccd, coco_mini) -> list[np.ndarray]:
    """6 of BCCD and 18 of COCO."""
    paths = sorted((bccd / 'images').iterdir())[:6] + \
        sorted((coco_mini / 'val2017').iterdir())[:18]
    return [cv2.imread(str(path)) for path in paths]


def _id(scheme: Scheme) -> str:
    return '-'.join(map(str, scheme.to_dict().values()))


@pytest.mark.parametrize('scheme', VARIANTS, ids=_id)
def test_no_false_alarm(photos, scheme):
    alarms = [i for i, img in enumerate(photos)
              if scheme.looks_plain(scheme.encrypt(img, KEY, str(i)).img)]
    assert not alarms


@pytest.mark.parametrize(('name', 'share'), [
    ('mix', .8), ('shuffle', 1), ('mix+shuffle', 1), ('mix+center', 1),
    ('mix+center+shuffle', 1)])
def test_plain_images_look_plain(photos, name, share):
    """Resized to the size that the manifest lists."""
    scheme = _scheme(name)
    found = 0
    for img in photos:
        padded = pad_to_patches(img, scheme.patch_size)
        size = padded.shape[1] // scheme.grid, padded.shape[0] // scheme.grid
        found += scheme.looks_plain(cv2.resize(img, size, interpolation=cv2.INTER_AREA))
    assert found >= share * len(photos)


def test_mixed_images_that_should_be_shuffled_are_found(photos):
    for img in photos:
        assert Scheme('mix+shuffle').looks_plain(Scheme('mix').encrypt(img).img)


def test_textured_images_are_no_false_alarm(coco_mini):
    """Grass and crowds have large steps within patches, too: every image there is."""
    scheme = _scheme('shuffle')
    for path in sorted((coco_mini / 'val2017').iterdir()):
        assert not scheme.looks_plain(scheme.encrypt(cv2.imread(str(path)), KEY, '').img), path


@pytest.mark.parametrize('scheme', [scheme for scheme in VARIANTS if scheme.erode], ids=_id)
def test_borders_that_were_not_eroded_are_found(photos, scheme):
    without = replace(scheme, erode=0)
    assert all(scheme.looks_plain(without.encrypt(img, KEY, '').img) for img in photos)


def test_plain_images_in_a_manifest_that_fits(bccd, tmp_path):
    (tmp_path / 'plain').mkdir()
    for path in sorted((bccd / 'images').iterdir())[:2]:
        shutil.copy(path, tmp_path / 'plain')
    (tmp_path / 'ann.json').write_text(json.dumps(dict(annotations=[], images=[
        dict(id=i, file_name=path.name, width=640, height=480)
        for i, path in enumerate(sorted((tmp_path / 'plain').iterdir()))])))
    out = tmp_path / 'sealed'
    seal_dataset(SealJob(tmp_path / 'plain', out, Scheme('mix+shuffle'), tmp_path / 'ann.json',
                         KEY))
    image = Manifest.load(out).images[0]
    img = cv2.resize(cv2.imread(str(tmp_path / 'plain' / image.source)), image.size)
    (out / image.file).write_bytes(encode_image(img, 'png'))
    _relist(out, KEY)
    assert list(verify_sealed(out, KEY)) == [
        f'{image.file}: looks as if it had not been encrypted with scheme mix+shuffle']
