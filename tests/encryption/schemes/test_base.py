"""Schemes: the steps in order, what is refused, and the way through a file and back."""
from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.encryption import (
    SCHEMES,
    Key,
    Scheme,
    blank_patches,
    center_patches,
    erode_patches,
    mix_and_center,
    mix_sub_patches,
    pad_to_patches,
    permutation,
    shuffle_patches,
    unshuffle_patches,
)

KEY = Key(bytes(range(32)))
NAN, INF = float('nan'), float('inf')


@st.composite
def schemes(draw, names=SCHEMES, most: int = 6):
    """Any scheme that is allowed."""
    name = draw(st.sampled_from(names))
    grid = draw(st.integers(1, 3)) if 'mix' in name else 1
    side = draw(st.integers(1, most))
    options = {}
    if 'center' in name:
        options.update(center_strength=draw(st.floats(0, 1)), normalize=draw(st.booleans()))
        if not options['normalize'] and draw(st.booleans()):
            options.update(gain=draw(st.integers(4, 256)) / 4,
                           center_strength=draw(st.integers(0, 1000)) / 1000)
    if 'shuffle' in name:
        options.update(erode=draw(st.integers(0, (side - 1) // 2)),
                       drop=draw(st.sampled_from([0., .1, .5, .99])))
    return Scheme(name, grid * side, grid, **options)


@st.composite
def encryptable(draw, names=SCHEMES):
    """(scheme, image of any size from one patch on)."""
    scheme = draw(schemes(names))
    p = scheme.patch_size
    shape = (draw(st.integers(p, 4 * p)), draw(st.integers(p, 4 * p)))
    channels = draw(st.sampled_from([(), (1, ), (3, ), (4, )]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    img = rng.integers(0, 256, (*shape, *channels), dtype=np.uint8)
    img.flags.writeable = False
    return scheme, img


def _image(height: int = 64, width: int = 96, *channels: int) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def _by_hand(scheme: Scheme, img: np.ndarray, image_id: str, pad_val: int) -> tuple:
    """The same three things, step by step as the name says."""
    p, steps = scheme.patch_size, scheme.name.split('+')
    side = p // scheme.grid
    img = pad_to_patches(img, p, pad_val)
    order = nonce = None
    if scheme.gain != 1:
        steps[:2] = ['both']
    for step in steps:
        if step == 'mix':
            img = mix_sub_patches(img, p, scheme.grid)
        elif step == 'both':
            img = mix_and_center(img, p, scheme.grid, scheme.center_strength, scheme.gain)
        elif step == 'center':
            img = center_patches(img, side, scheme.center_strength, scheme.normalize)
        else:
            img = erode_patches(img, side, scheme.erode)
            count = (img.shape[0] // side) * (img.shape[1] // side)
            nonce = KEY.nonce(image_id.encode(), img)
            order = permutation(KEY.sub_key(image_id, nonce), count)
            img = blank_patches(img, side, order[:int(scheme.drop * count)])
            img = shuffle_patches(img, side, order)
    return img, order, nonce


@given(encryptable(), st.text('ab/.1', max_size=5), st.sampled_from([0, 114, 255, 'mirror']))
@settings(max_examples=300)
def test_equals_the_steps_by_hand(sample, image_id, pad_val):
    scheme, img = sample
    before = img.copy()
    result = scheme.encrypt(img, KEY, image_id, pad_val)
    expected = _by_hand(scheme, img, image_id, pad_val)
    np.testing.assert_array_equal(result.img, expected[0])
    assert result.img.dtype == np.uint8
    assert result.img.flags.c_contiguous
    assert result.nonce == expected[2]
    assert (result.order is None) == (result.nonce is None) == (not scheme.shuffles)
    if scheme.shuffles:
        np.testing.assert_array_equal(result.order, expected[1])
        assert result.order.dtype == np.int64
    np.testing.assert_array_equal(img, before)


@given(encryptable([name for name in SCHEMES if 'shuffle' in name]), st.text('ab', max_size=3))
def test_the_order_is_found_again(sample, image_id):
    scheme, img = sample
    result = scheme.encrypt(img, KEY, image_id)
    order = scheme.order(KEY, image_id, result.nonce, result.img.shape)
    np.testing.assert_array_equal(order, result.order)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(order)))


@given(encryptable(['shuffle']))
def test_restorable_schemes_are_restored_exactly(sample):
    scheme, img = sample
    scheme = Scheme('shuffle', scheme.patch_size, 1)
    assert scheme.restorable
    result = scheme.encrypt(img, KEY)
    order = scheme.order(KEY, '', result.nonce, result.img.shape)
    np.testing.assert_array_equal(unshuffle_patches(result.img, scheme.side, order),
                                  pad_to_patches(img, scheme.patch_size))


@given(schemes())
def test_only_a_pure_shuffle_is_restorable(scheme):
    assert scheme.restorable == (scheme.name == 'shuffle' and not scheme.erode
                                 and not scheme.drop)


@pytest.mark.parametrize(('name', 'mixes', 'centers', 'shuffles'), [
    ('mix', True, False, False),
    ('shuffle', False, False, True),
    ('mix+shuffle', True, False, True),
    ('mix+center', True, True, False),
    ('mix+center+shuffle', True, True, True),
])
def test_all_schemes(name, mixes, centers, shuffles):
    scheme = Scheme(name, grid=2 if mixes else 1)
    assert (scheme.mixes, scheme.centers, scheme.shuffles) == (mixes, centers, shuffles)
    assert scheme.side == (8 if mixes else 16)
    assert name in SCHEMES
    assert len(SCHEMES) == 5


@pytest.mark.parametrize('name', ['', 'plain', 'center', 'center+shuffle', 'shuffle+mix', 'Mix',
                                  'mix+', 'mix+shuffle+center', None, 3, ['mix']])
def test_other_names(name):
    with pytest.raises(ValueError, match=r"no scheme .*: choose one of \['mix', 'shuffle'"):
        Scheme(name)


@pytest.mark.parametrize(('options', 'message'), [
    (dict(name='shuffle'), 'scheme shuffle does not mix, so grid must be 1, not 2'),
    (dict(name='mix', center_strength=.5), r'scheme mix does not center: center_strength must'),
    (dict(name='mix', normalize=True), 'scheme mix does not center.*normalize False'),
    (dict(name='mix+shuffle', center_strength=1), r'mix\+shuffle does not center'),
    (dict(name='shuffle', grid=1, normalize=True), 'scheme shuffle does not center'),
    (dict(name='mix', erode=1), 'scheme mix does not shuffle: erode and drop must be 0'),
    (dict(name='mix', drop=.1), 'scheme mix does not shuffle'),
    (dict(name='mix+center', erode=1), r'mix\+center does not shuffle'),
    (dict(name='mix+center', drop=.1), r'mix\+center does not shuffle'),
    (dict(patch_size=0), 'patch_size must be a positive integer'),
    (dict(patch_size=-16), 'patch_size must be a positive integer'),
    (dict(grid=0), 'grid must be a positive integer'),
    (dict(grid=3), 'grid 3 does not divide the patch size 16'),
    (dict(name='mix+center', center_strength=-.1), 'between 0 and 1, got -0.1'),
    (dict(name='mix+center', center_strength=1.1), 'between 0 and 1, got 1.1'),
    (dict(name='mix+center', center_strength=2), 'between 0 and 1, got 2.0'),
    (dict(name='mix+center', center_strength=NAN), 'between 0 and 1, got nan'),
    (dict(name='mix', center_strength=NAN), 'between 0 and 1, got nan'),
    (dict(name='mix+center', center_strength=INF), 'between 0 and 1, got inf'),
    (dict(name='mix+shuffle', erode=4), 'erode 4 leaves nothing of a patch of 8 pixels'),
    (dict(name='mix+shuffle', erode=-1), 'erode -1'),
    (dict(name='mix+shuffle', grid=16, erode=1), 'erode 1 leaves nothing of a patch of 1 pixels'),
    (dict(name='mix+shuffle', drop=1), 'drop must be at least 0 and less than 1, got 1'),
    (dict(name='mix+shuffle', drop=-.1), 'drop must be at least 0 and less than 1, got -0.1'),
    (dict(name='mix+shuffle', drop=NAN), 'drop must be at least 0 and less than 1, got nan'),
    (dict(name='mix+shuffle', drop=-INF), 'drop must be at least 0 and less than 1, got -inf'),
    (dict(patch_size=16.), 'patch_size must be of type int, got 16.0'),
    (dict(patch_size='16'), "patch_size must be of type int, got '16'"),
    (dict(patch_size=None), 'patch_size must be of type int, got None'),
    (dict(grid=True), 'grid must be of type int, got True'),
    (dict(name='mix+center', center_strength=True), 'center_strength must be of type float'),
    (dict(name='mix+center', center_strength='1'), "center_strength must be of type float, got '1"),
    (dict(name='mix+center', normalize=1), 'normalize must be of type bool, got 1'),
    (dict(name='mix+center', normalize=None), 'normalize must be of type bool, got None'),
    (dict(name='mix+shuffle', erode=1.), 'erode must be of type int, got 1.0'),
    (dict(name='mix+shuffle', erode=False), 'erode must be of type int, got False'),
    (dict(name='mix+shuffle', drop=False), 'drop must be of type float, got False'),
    (dict(name='mix+shuffle', drop=None), 'drop must be of type float, got None'),
    (dict(name='mix+shuffle', drop=[.1]), 'drop must be of type float'),
])
def test_what_is_wrong_or_has_no_meaning(options, message):
    with pytest.raises(ValueError, match=message):
        Scheme(**options)
    with pytest.raises(ValueError, match=message):
        Scheme.from_dict({**asdict(Scheme()), **options})


def test_a_scheme_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Scheme().grid = 4


@given(schemes(most=100))
def test_through_a_file_and_back(scheme):
    data = scheme.to_dict()
    assert Scheme.from_dict(data) == scheme
    again = Scheme.from_dict(json.loads(json.dumps(data)))
    assert again == scheme
    assert hash(again) == hash(scheme)
    assert json.dumps(again.to_dict()) == json.dumps(data)


def test_whole_numbers_of_a_file_may_stand_for_floats():
    scheme = Scheme('mix+center+shuffle', center_strength=1, drop=0)
    assert scheme == Scheme('mix+center+shuffle', center_strength=1., drop=0.)
    assert json.dumps(scheme.to_dict()) == (
        '{"name": "mix+center+shuffle", "patch_size": 16, "grid": 2, "center_strength": 1.0, '
        '"normalize": false, "erode": 0, "drop": 0.0}')


def test_a_changed_dict_does_not_change_the_scheme():
    scheme = Scheme()
    scheme.to_dict()['grid'] = 4
    assert scheme.grid == 2


@pytest.mark.parametrize('missing', sorted(set(asdict(Scheme())) - {'gain'}))
def test_a_missing_field(missing):
    data = asdict(Scheme())
    del data[missing]
    with pytest.raises(ValueError, match=rf"a scheme has the fields \[.*'{missing}'"):
        Scheme.from_dict(data)


@pytest.mark.parametrize('data', [
    {}, [], None, 'mix', 3, list(asdict(Scheme()).items()), {**asdict(Scheme()), 'key': 1},
    {**asdict(Scheme()), 1: 1}])
def test_what_is_no_scheme(data):
    with pytest.raises(ValueError, match='a scheme has the fields'):
        Scheme.from_dict(data)


@given(st.sampled_from([0., .001, .1, .29, .5, .99]), st.integers(1, 12), st.integers(1, 12),
       st.sampled_from(['shuffle', 'mix+shuffle']))
def test_drop_blanks_its_share(drop, rows, cols, name):
    scheme = Scheme(name, 4, 2 if name == 'mix+shuffle' else 1, drop=drop)
    img = np.random.default_rng(rows * cols).integers(0, 100, (4 * rows, 4 * cols), np.uint8)
    side = scheme.side
    result = scheme.encrypt(img, KEY)
    patches = result.img.reshape(rows, side, cols, side)
    assert (patches == 128).all((1, 3)).sum() == int(drop * rows * cols)
    kept = unshuffle_patches(result.img, side, result.order) != 128
    expected = mix_sub_patches(img, 4, scheme.grid)
    np.testing.assert_array_equal(
        unshuffle_patches(result.img, side, result.order)[kept], expected[kept])


@pytest.mark.parametrize('name', ['shuffle', 'mix+shuffle', 'mix+center+shuffle'])
def test_shuffling_needs_a_key(name):
    with pytest.raises(ValueError, match=f'scheme {name} needs a key'.replace('+', r'\+')):
        Scheme(name, grid=2 if 'mix' in name else 1).encrypt(_image())


@pytest.mark.parametrize('name', ['mix', 'mix+center'])
def test_other_schemes_need_none(name):
    scheme = Scheme(name)
    np.testing.assert_array_equal(scheme.encrypt(_image()).img, scheme.encrypt(_image(), KEY).img)


def test_orders_differ_by_image_name_key_and_frame():
    scheme, img = Scheme('mix+shuffle'), _image()
    brighter = img // 2
    results = [scheme.encrypt(img, KEY, 'a'), scheme.encrypt(img, KEY, 'b'),
               scheme.encrypt(brighter, KEY, 'a'), scheme.encrypt(img, Key(bytes(32)), 'a'),
               scheme.encrypt(img.reshape(96, 64), KEY, 'a')]
    assert len({result.order.tobytes() for result in results}) == 5
    again = scheme.encrypt(img, KEY, 'a')
    assert again.nonce == results[0].nonce
    np.testing.assert_array_equal(again.order, results[0].order)


@pytest.mark.parametrize('scheme', [Scheme(), Scheme('shuffle', grid=1)])
@pytest.mark.parametrize('dtype', [np.uint16, np.float32, bool])
def test_only_8_bits(scheme, dtype):
    with pytest.raises(TypeError, match=rf'8-bit images, got {np.dtype(dtype)}'):
        scheme.encrypt(np.zeros((32, 32, 3), dtype), KEY)


@pytest.mark.parametrize('name', SCHEMES)
def test_an_image_smaller_than_a_patch(name):
    with pytest.raises(ValueError, match='smaller than one 16x16 patch; resize it first'):
        Scheme(name, grid=2 if 'mix' in name else 1).encrypt(_image(15, 96), KEY)
