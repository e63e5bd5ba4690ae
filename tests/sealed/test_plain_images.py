"""What is read as OpenCV reads it, and what OpenCV takes in silence and is refused."""
from __future__ import annotations

import io
import os
import struct

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from mmppvit.sealed.image_files import SUFFIXES, check_declared_size
from mmppvit.sealed.plain_images import check_readable, list_folder, read_plain
from tests.hostile_bytes import png_claiming

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)
RAMP = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40)


def _encoded(suffix: str, img: np.ndarray = NOISE) -> bytes:
    return cv2.imencode(suffix, img)[1].tobytes()


def _photo(bccd) -> bytes:
    return (bccd / 'images/BloodImage_00001.jpg').read_bytes()


def _write(tmp_path, content: bytes, name: str = 'a'):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def _reason(path) -> str:
    """Why a file is refused; by the reader and by the check alike."""
    with pytest.raises(OSError) as caught:  # noqa: PT011, its words are the result
        read_plain(path)
    if 'not an image' not in str(caught.value):  # OpenCV says that by itself
        with pytest.raises(OSError) as again:  # noqa: PT011
            check_readable(path)
        assert str(again.value) == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp', '.webp', '.tiff', '.ppm', '.gif',
                                    '.avif'])
def test_any_file_is_read_as_opencv_reads_it(tmp_path, suffix):
    path = _write(tmp_path, _encoded(suffix))
    plain = read_plain(path)
    np.testing.assert_array_equal(plain.img, cv2.imread(str(path), cv2.IMREAD_COLOR))
    assert plain.content == path.read_bytes()
    assert plain.remarks == ()
    check_readable(path)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_every_cut_is_found(tmp_path, suffix):
    content = _encoded(suffix)
    path = _write(tmp_path, content + b'\n')  # as some cameras write
    assert read_plain(path).remarks == ()
    for end in [*range(2, 40), *range(40, len(content) - 80, 97)]:
        path.write_bytes(content[:end])
        assert _reason(path)
    path.write_bytes(b'')
    assert _reason(path) == 'it is empty'


@pytest.mark.parametrize('share', [.1, .3, .6, .95])
def test_junk_within_a_jpeg_is_found(tmp_path, bccd, share):
    """OpenCV decodes it without an error; up to two thirds of the pixels are wrong."""
    content = _photo(bccd)
    start = int(len(content) * share)
    junk = bytes(RNG.integers(0, 254, 300, dtype=np.uint8))
    path = _write(tmp_path, content[:start] + junk + content[start + len(junk):])
    assert cv2.imread(str(path)) is not None
    assert 'damaged: ' in _reason(path)


def test_a_jpeg_that_only_lacks_its_end_is_whole(tmp_path, bccd):
    content = _photo(bccd)
    assert content.endswith(b'\xff\xd9')
    plain = read_plain(_write(tmp_path, content[:-2]))
    np.testing.assert_array_equal(plain.img, cv2.imdecode(np.frombuffer(content, np.uint8), 1))
    assert plain.remarks == ('it lacks its end marker; all pixels are there', )
    assert 'damaged' in _reason(_write(tmp_path, content[:-200]))


@pytest.mark.parametrize('mode', ['L', 'CMYK', 'RGB'])
def test_every_kind_of_jpeg_is_whole(tmp_path, bccd, mode):
    for options in (dict(), dict(progressive=True), dict(quality=30)):
        file = io.BytesIO()
        Image.open(io.BytesIO(_photo(bccd))).convert(mode).save(file, 'JPEG', **options)
        assert read_plain(_write(tmp_path, file.getvalue())).remarks == ()


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.pgm'])
def test_16_bits_that_fill_few_levels_are_refused(tmp_path, suffix):
    path = _write(tmp_path, _encoded(suffix, RAMP * 4))
    reason = _reason(path)
    assert 'from 0 to 3836 of 65536, which would become 15 levels' in reason
    assert '--window 0 3836' in reason
    assert '32000 to 32959' in _reason(_write(tmp_path, _encoded(suffix, RAMP + 32000)))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(tmp_path, value):
    img = np.full((40, 40), 100, np.float32)
    img[3, 4] = value
    path = _write(tmp_path, _encoded('.tiff', img))
    for window in (None, (0., 255.)):
        with pytest.raises(OSError, match='values that are not finite numbers'):
            read_plain(path, window)
    with pytest.raises(OSError, match='values that are not finite numbers'):
        check_readable(path)


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.pgm'])
def test_16_bits_that_fill_their_range_are_read_as_opencv_does(tmp_path, suffix):
    path = _write(tmp_path, _encoded(suffix, RAMP * 68))
    plain = read_plain(path)
    np.testing.assert_array_equal(plain.img, cv2.imread(str(path), cv2.IMREAD_COLOR))
    np.testing.assert_array_equal(plain.img[..., 0], (RAMP * 68) >> 8)
    assert plain.remarks == (
        'its 16 bits were made 8 by leaving out the lower ones (from 0 to 65212)', )


@pytest.mark.parametrize(('window', 'expected'), [
    ((0, 959), lambda v: np.rint(v * 255 / 959)),
    ((100, 200), lambda v: np.rint(np.clip((v - 100.) * 2.55, 0, 255))),
])
def test_a_window_maps_values(tmp_path, window, expected):
    plain = read_plain(_write(tmp_path, _encoded('.png', RAMP)), window)
    np.testing.assert_array_equal(plain.img[..., 1], expected(RAMP.astype(float)))
    eight = read_plain(_write(tmp_path, _encoded('.png')), window)
    np.testing.assert_array_equal(eight.img, NOISE)  # of 8 bits: as it is


def test_float_images_need_a_window(tmp_path):
    path = _write(tmp_path, _encoded('.tiff', RAMP.astype(np.float32) / 959))
    assert 'float32 values from 0 to 1: ' in _reason(path)
    np.testing.assert_array_equal(read_plain(path, (0, 1)).img[..., 0], np.rint(
        RAMP.astype(np.float32) / np.float32(959) * np.float64(255)))


@pytest.mark.parametrize(('name', 'words'), [
    ('a.heic', r'cannot read \.heic: convert'), ('b.DCM', r'cannot read \.dcm'),
    ('c.jpg', 'not an image'), ('d.tif', 'not an image')])
def test_what_is_no_image_is_said(tmp_path, name, words):
    with pytest.raises(OSError, match=words):
        read_plain(_write(tmp_path, b'this is a text', name))


def test_everything_in_a_folder_is_an_image_or_not(tmp_path):
    for name in ('b/z.PNG', 'b/a.jfif', 'a.webp', 'B.tif', 'c.heic', 'c.dcm', 'n.txt', '.DS_Store',
                 '._a.webp', '.hidden/x.png', 'g.gif', 'x.jpe', 'x.avif', 'x.ppm'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ('000123', 'v1.2', '.hidden.jpg'):
        _write(tmp_path, _encoded('.jpg'), name)
    (tmp_path / 'elsewhere').mkdir()
    _write(tmp_path, _encoded('.png'), 'elsewhere/y.png')
    (tmp_path / 'b/link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'b/up').symlink_to(tmp_path)
    images, others = list_folder(tmp_path / 'b')
    assert 'link/y.png' in images
    images, others = list_folder(tmp_path)
    assert [name for name in images if 'y.png' not in name] == [
        '.hidden.jpg', '.hidden/x.png', '000123', 'B.tif', 'a.webp', 'b/a.jfif', 'b/z.PNG', 'c.dcm',
        'c.heic', 'g.gif', 'v1.2', 'x.avif', 'x.jpe', 'x.ppm']
    assert others == ['.DS_Store', '._a.webp', 'n.txt']
    assert sum('y.png' in name for name in images) == 1


def test_suffixes_are_those_that_opencv_reads(tmp_path):
    """Of what OpenCV can write, it reads everything, so no suffix may lack."""
    for suffix in ('.jpg', '.jpe', '.png', '.bmp', '.dib', '.tif', '.webp', '.gif', '.avif', '.ppm',
                   '.pgm', '.pbm', '.pnm', '.pam', '.sr', '.ras', '.hdr', '.pfm', '.jp2'):
        assert suffix in SUFFIXES


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_files_that_may_not_be_read(tmp_path):
    path = _write(tmp_path, _encoded('.png'))
    path.chmod(0)
    assert 'Permission' in _reason(path)


# --- small files that claim to be huge -----------------------------------------------------------


def _claiming_jpeg(side: int) -> bytes:
    content = bytearray(_encoded('.jpg'))
    at = content.index(b'\xff\xc0')
    content[at + 5:at + 9] = struct.pack('>HH', side, side)
    return bytes(content)


def _claiming_bmp(side: int) -> bytes:
    content = bytearray(_encoded('.bmp'))
    content[18:26] = struct.pack('<ii', side, side)
    return bytes(content)


@pytest.mark.parametrize('content', [png_claiming(30_000), _claiming_jpeg(30_000),
                                     _claiming_bmp(30_000)], ids=['png', 'jpeg', 'bmp'])
def test_what_claims_to_be_huge_is_not_decoded(tmp_path, monkeypatch, content):
    """900 million pixels would take 2.7 GB."""
    path = _write(tmp_path, content)
    for decoder in ((cv2, 'imdecode'), (cv2, 'imread'), (Image.Image, 'load'),
                    (simplejpeg, 'decode_jpeg')):
        monkeypatch.setattr(*decoder, lambda *_: 1 / 0)
    with pytest.raises(OSError, match=r'it claims .* pixels in .* bytes'):
        read_plain(path)
    with pytest.raises(OSError, match=r'it claims .* pixels in .* bytes'):
        check_readable(path)


def test_large_images_of_large_files_are_read():
    check_declared_size(png_claiming(8192))  # 2**26 pixels are taken of any file
    with pytest.raises(OSError, match='claims'):
        check_declared_size(png_claiming(8193))
    check_declared_size(png_claiming(8193) + bytes(8193**2 // 16))
