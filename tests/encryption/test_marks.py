"""Encrypted pages, drawings, screenshots and X-rays have the marks of their scheme, plain ones do
not."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmppvit.encryption import BaselineScheme, Key, Scheme
from mmppvit.encryption.continuity import continues_over_borders, lies_in_order
from mmppvit.encryption.marks import has_middle_means, has_noise, has_small_steps
from mmppvit.encryption.patches import pad_to_patches
from tests.encryption.documents import DOCUMENTS, draw_document

KEY = Key(bytes(32))
SEEDS = range(3)
SCHEMES = [
    Scheme('mix'), Scheme('mix', grid=4), Scheme('mix', 32), Scheme('mix', 8),
    Scheme('mix', 24, 3), Scheme('shuffle', 16, 1), Scheme('shuffle', 16, 1, erode=2),
    Scheme('shuffle', 16, 1, drop=.3), Scheme('mix+shuffle'), Scheme('mix+shuffle', 32),
    Scheme('mix+shuffle', erode=1, drop=.1), Scheme('mix+center', center_strength=1.),
    Scheme('mix+center', center_strength=.5), Scheme('mix+center', normalize=True),
    Scheme('mix+center', center_strength=.75, normalize=True),
    Scheme('mix+center+shuffle', center_strength=1.),
    Scheme('mix+center+shuffle', center_strength=1., drop=.2),
    Scheme('mix+center', center_strength=1., gain=4.),
    Scheme('mix+center+shuffle', center_strength=.5, gain=64.),
    *(BaselineScheme('blur', grid=1, strength=strength) for strength in (.4, 1.5)),
    BaselineScheme('pixelate', grid=1, strength=6),
    *(BaselineScheme('noise', grid=1, strength=strength) for strength in (.5, 5, 20, 200)),
    BaselineScheme('downsample'), BaselineScheme('downsample+shuffle')]


def _id(scheme: Scheme) -> str:
    return '-'.join(map(str, scheme.to_dict().values()))


@pytest.fixture(scope='module')
def documents() -> dict[str, list[np.ndarray]]:
    return {kind: [draw_document(kind, seed) for seed in SEEDS] for kind in DOCUMENTS}


@pytest.mark.parametrize('scheme', SCHEMES, ids=_id)
def test_no_false_alarm(documents, scheme):
    alarms = [(kind, seed) for kind, images in documents.items() for seed, img in enumerate(images)
              if scheme.looks_plain(scheme.encrypt(img, KEY, f'{kind} {seed}', 'mirror').img)]
    assert alarms == []


_ALL = dict.fromkeys(DOCUMENTS, len(SEEDS))


# At least; where nothing is said, an encrypted image may look the same.
@pytest.mark.parametrize(('scheme', 'found'), [
    (Scheme('mix'), dict(scan=2, drawing=3, xray=3)),
    (Scheme('shuffle', 16, 1), _ALL | dict(dots=0, blank=0, form=2)),
    (Scheme('mix+shuffle'), _ALL | dict(dots=0, blank=0, form=2)),
    (Scheme('mix+shuffle', drop=.1), _ALL),
    (Scheme('shuffle', 16, 1, erode=1), _ALL),
    (Scheme('mix+center', center_strength=1.), _ALL),
    (Scheme('mix+center+shuffle', center_strength=.5), _ALL),
    (Scheme('mix+center', center_strength=1., gain=4.), _ALL),
    (BaselineScheme('blur', grid=1, strength=1.5), _ALL | dict(xray=1)),
    (BaselineScheme('pixelate', grid=1, strength=6), _ALL),
    (BaselineScheme('noise', grid=1, strength=20.), dict(scan=3, screenshot=3, xray=3)),
], ids=lambda value: _id(value) if isinstance(value, Scheme) else '')
def test_plain_images_are_found(documents, scheme, found):
    """Resized to the size that the manifest lists."""
    counts = {}
    for kind, images in documents.items():
        padded = [pad_to_patches(img, scheme.patch_size, 'mirror') for img in images]
        counts[kind] = sum(scheme.looks_plain(cv2.resize(
            img, None, fx=1 / scheme.grid, fy=1 / scheme.grid, interpolation=cv2.INTER_AREA))
            for img in padded)
    assert all(counts[kind] >= least for kind, least in found.items()), counts


def test_what_repeats_with_the_patches_is_not_judged():
    """Mixing such an image gives one that a plain image could be as well."""
    wave = np.abs(np.arange(320) % 32 - 16).astype(np.uint8) * 15
    ruled = np.where(np.arange(320) % 16 == 8, 0, 255).astype(np.uint8)
    for line in (wave, ruled):
        img = np.minimum(line[:, None], line)[..., None].repeat(3, 2)
        assert not continues_over_borders(Scheme('mix').encrypt(img).img, 8)
        assert not continues_over_borders(img, 8)


def test_an_order_is_not_judged_by_few_patches():
    img = np.full((320, 320, 3), 255, np.uint8)
    cv2.putText(img, 'WORD', (100, 100), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
    assert not lies_in_order(img, 16)
    for y in range(60, 320, 40):
        cv2.putText(img, 'MANY WORDS', (20, y), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
    assert lies_in_order(img, 16)


@settings(max_examples=60)
@given(arrays(np.uint8, (16, 24, 1), elements=st.sampled_from([0, 1, 90, 128, 200, 255])),
       st.sampled_from([0, .3, .5, 1.]), st.booleans())
def test_means_are_near_128_whatever_was_centered(img, strength, normalize):
    scheme = Scheme('mix+center', 8, 2, strength, normalize)
    assert has_middle_means(scheme.encrypt(img).img, 4, strength)


def test_clipping_explains_no_mean_on_its_own_side():
    white, black = np.full((8, 8, 1), 255, np.uint8), np.zeros((8, 8, 1), np.uint8)
    assert not has_middle_means(white, 8, 1.)
    assert not has_middle_means(black, 8, 1.)
    dark = np.full((8, 8, 1), 100, np.uint8)
    assert not has_middle_means(dark, 8, 1.)
    dark[0, 0] = 255  # a bright pixel that would have been brighter
    assert has_middle_means(dark, 8, 1.)


@settings(max_examples=60)
@given(arrays(np.uint8, (12, 20, 1), elements=st.sampled_from([0, 255])),
       st.sampled_from([.2, .5, 1., 1.5, 4., 30.]))
def test_steps_are_small_whatever_was_blurred(img, sigma):
    scheme = BaselineScheme('blur', 4, grid=1, strength=sigma)
    assert has_small_steps(scheme.encrypt(img).img, sigma, 4)


def test_the_bound_of_steps_is_tight():
    edge = np.repeat(np.array([0, 255], np.uint8), 20)[None].repeat(40, 0)[..., None]
    blurred = BaselineScheme('blur', 8, grid=1, strength=2.).encrypt(edge).img
    assert has_small_steps(blurred, 2., 0)
    assert not has_small_steps(blurred, 2.1, 0)
    assert has_small_steps(edge, 2., 20)  # the edge lies in what may be padding


def test_noise_that_is_clipped_counts_as_noise():
    for level in (0, 3, 128, 250, 255):
        img = np.full((64, 64, 3), level, np.uint8)
        assert has_noise(BaselineScheme('noise', grid=1, strength=20.).encrypt(img).img, 20.)
    assert not has_noise(np.full((64, 64, 3), 128, np.uint8), 20.)
