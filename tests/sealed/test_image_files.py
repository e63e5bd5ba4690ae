"""Names, and whole files."""
from __future__ import annotations

from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.sealed.image_files import (
    decode_image,
    encode_image,
    is_safe_name,
    path_within,
)
from mmppvit.sealed.plain_images import read_plain

IMG = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def _encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, IMG)[1].tobytes()


@pytest.mark.parametrize(('name', 'safe'), [
    ('a.png', True), ('a/b/c.png', True), ('.hidden', True), ('ä/日本.png', True),
    ('a..b.png', True), ('', False), ('.', False), ('..', False), ('../a.png', False),
    ('a/../../b.png', False), ('/etc/passwd', False), ('a//b.png', False), ('./a.png', False),
    ('a/', False), ('a\\b.png', False), ('..\\b.png', False), ('C:/a.png', False),
    ('a\nb.png', False), ('a\0.png', False), ('x\udcff.png', False),
    ('a' * 1025, False), (None, False), (3, False), (['a'], False), (b'a.png', False),
])
def test_names_that_are_safe(name, safe):
    assert is_safe_name(name) is safe


def test_links_that_lead_outside_are_refused(tmp_path):
    root = tmp_path / 'root'
    (root / 'images').mkdir(parents=True)
    (tmp_path / 'secret').write_text('x')
    (root / 'file').symlink_to('../secret')
    (root / 'folder').symlink_to('..')
    (root / 'circle').symlink_to('circle')
    (root / 'inside').symlink_to('images')
    for name in ('file', 'folder/secret', '../secret', 'folder'):
        with pytest.raises(OSError, match='outside'):
            path_within(root, name)
    assert path_within(root, 'inside/new') == root / 'inside' / 'new'
    with pytest.raises(OSError, match=r'[Ll]oop|[Ss]ymbolic'):
        path_within(root, 'circle').read_bytes()


@pytest.mark.parametrize('image_format', ['png', 'webp'])
def test_lossless(image_format):
    for img in (IMG, IMG[:1, :1], np.zeros_like(IMG), np.ascontiguousarray(IMG[::-1])):
        np.testing.assert_array_equal(decode_image(encode_image(img, image_format)), img)


@given(st.binary(max_size=200) | st.sampled_from(['.png', '.jpg', '.webp', '.bmp', '.tiff']).
       flatmap(lambda suffix: st.builds(
           lambda at, value: _encoded(suffix)[:at] + value + _encoded(suffix)[at + len(value):],
           st.integers(0, 80), st.binary(min_size=1, max_size=6))))
@settings(max_examples=80)
def test_foreign_bytes_are_no_image_or_some(tmp_path_factory, content):
    """Whatever OpenCV and Pillow make of them: an image or OSError."""
    with suppress(OSError):
        assert decode_image(content).dtype == np.uint8
    path = tmp_path_factory.getbasetemp() / 'foreign'
    path.write_bytes(content)
    with suppress(OSError):
        assert read_plain(path).img.dtype == np.uint8
