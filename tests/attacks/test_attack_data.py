"""``mmppvit.attacks.attack_data``: who has which images."""
from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from mmppvit.attacks.attack_data import load_attack_data
from mmppvit.encryption import Key, Scheme, pad_to_patches, unshuffle_patches
from mmppvit.sealed import Manifest, ManifestError, SealJob, seal_dataset


def _names(pairs) -> set[str]:
    return {pair.name for pair in pairs}


def _load(sealed, scheme: str, **options):
    return load_attack_data(sealed.folder(scheme), sealed.plain,
                         **{**dict(num_victims=3, num_pairs=5), **options})


@pytest.mark.parametrize('seed', range(3))
def test_victims_are_never_among_the_pairs(sealed, seed):
    data = _load(sealed, 'mix', seed=seed)
    assert len(data.victims) == len(_names(data.victims)) == 3
    assert len(data.pairs) == len(_names(data.pairs)) == 5
    assert not _names(data.victims) & _names(data.pairs)
    assert [pair.name for pair in data.known] == [pair.name for pair in data.pairs]
    assert not data.skipped


def test_the_draw_follows_the_seed(sealed):
    drawn = [[pair.name for pair in _load(sealed, 'mix', seed=seed).victims] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_at_most_half_are_victims(sealed):
    data = _load(sealed, 'mix', num_victims=100, num_pairs=100)
    assert len(data.victims) == len(data.pairs) == 5


@pytest.mark.parametrize('scheme', ['mix', 'blur', 'pixelate', 'noise'])
def test_the_attacker_encrypts_as_the_owner_does(sealed, scheme):
    """Without a key the same pixels come out, padding included; noise differs by its seed."""
    data = _load(sealed, scheme)
    for own, known in zip(data.pairs, data.known, strict=True):
        plain = cv2.imread(str(sealed.plain / own.name))
        np.testing.assert_array_equal(own.plain, pad_to_patches(plain, 16, 'mirror'))
        assert own.plain.shape == (64, 80, 3)
        assert own.order is known.order is None
        if scheme != 'noise':
            np.testing.assert_array_equal(own.encrypted, known.encrypted)


def test_orders(sealed):
    """The attacker's own are known, the owner's only with the key, and only of the victims."""
    for key in (None, sealed.key):
        data = _load(sealed, 'mix+shuffle', key=key)
        assert all(pair.order is None for pair in data.known)
        assert all((pair.order is None) == (key is None) for pair in data.victims)
        for pair in data.pairs + (data.victims if key else []):
            np.testing.assert_array_equal(
                unshuffle_patches(pair.encrypted, 8, pair.order),
                data.scheme.in_order(pair.plain))


def test_own_orders_are_not_those_of_the_owner(sealed):
    data = _load(sealed, 'mix+shuffle')
    for own, known in zip(data.pairs, data.known, strict=True):
        assert (own.encrypted != known.encrypted).any()


def test_a_key_that_is_not_needed_is_left_alone(sealed):
    assert all(pair.order is None for pair in _load(sealed, 'mix', key=sealed.key).victims)


def test_another_key_is_refused(sealed, tmp_path):
    other = Key.create(tmp_path / 'other.key')
    with pytest.raises(ManifestError, match='was sealed with the key of fingerprint'):
        _load(sealed, 'mix+shuffle', key=other)


@pytest.mark.parametrize('scheme', ['mix', 'noise', 'mix+shuffle', 'mix+center+shuffle'])
@pytest.mark.parametrize('with_key', [False, True])
def test_other_images_of_the_same_names_are_refused(sealed, tmp_path, scheme, with_key):
    """By their pixels where they are in order, by how many there are of each level elsewhere."""
    plain = shutil.copytree(sealed.plain, tmp_path / 'plain')
    for path in plain.iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)) // 3)
    with pytest.raises(ValueError, match=r'another image than the one that was sealed.*--plain'):
        load_attack_data(sealed.folder(scheme), plain, sealed.key if with_key else None, 3, 5)


def test_missing_images_are_skipped_and_said(sealed, tmp_path):
    plain = shutil.copytree(sealed.plain, tmp_path / 'plain')
    everything = load_attack_data(sealed.folder('mix'), plain, num_victims=3, num_pairs=5)
    gone, small, broken = (pair.name for pair in everything.pairs[:3])
    (plain / gone).unlink()
    cv2.imwrite(str(plain / small), np.zeros((10, 10, 3), np.uint8))
    (plain / broken).write_bytes(b'no image')
    data = load_attack_data(sealed.folder('mix'), plain, num_victims=3, num_pairs=5)
    assert _names(data.victims) == _names(everything.victims)
    assert len(data.pairs) == len(data.known) == 2
    reasons = dict(data.skipped)
    assert 'no plain image' in reasons[f'images/{gone}']
    assert 'is 10x10, it was 68x52' in reasons[f'images/{small}']
    assert 'not an image' in reasons[f'images/{broken}']


def test_a_changed_sealed_file_is_skipped(sealed, tmp_path):
    folder = shutil.copytree(sealed.folder('mix'), tmp_path / 'mix')
    file = _load(sealed, 'mix').pairs[0].name
    (folder / 'images' / file).write_bytes((folder / 'images' / file).read_bytes()[:-1] + b'x')
    skipped = load_attack_data(folder, sealed.plain, num_victims=3, num_pairs=5).skipped
    assert [name for name, _ in skipped] == [f'images/{file}']
    assert 'is not what was sealed' in skipped[0][1]


def test_copies_of_victims_are_not_learned_from(sealed, tmp_path):
    """The same image under two names must not be victim and lesson."""
    plain = tmp_path / 'plain'
    plain.mkdir()
    for path in sealed.plain.iterdir():
        for copy in 'ab':
            shutil.copy(path, plain / f'{path.stem}{copy}.png')
    seal_dataset(SealJob(plain, tmp_path / 'sealed', Scheme('mix')))
    data = load_attack_data(tmp_path / 'sealed', plain, num_victims=5, num_pairs=15)
    seen = {victim.plain.tobytes() for victim in data.victims}
    assert not any(pair.plain.tobytes() in seen for pair in data.pairs)
    assert any('shows the same as a victim' in reason for _, reason in data.skipped)


def test_images_of_more_than_8_bits_need_the_window_they_were_sealed_with(sealed, tmp_path):
    (tmp_path / 'plain').mkdir()
    for path in sealed.plain.iterdir():
        img = cv2.imread(str(path)).astype(np.uint16) * 16
        cv2.imwrite(str(tmp_path / 'plain' / path.name), img)
    seal_dataset(SealJob(tmp_path / 'plain', tmp_path / 'sealed', Scheme('mix'), window=(0, 4080)))
    data = load_attack_data(tmp_path / 'sealed', tmp_path / 'plain', num_victims=3, num_pairs=5,
                                window=(0, 4080))
    assert data.skipped == []
    same = load_attack_data(sealed.folder('mix'), sealed.plain, num_victims=3, num_pairs=5)
    for pair, other in zip(data.victims, same.victims, strict=True):
        np.testing.assert_array_equal(pair.plain, other.plain)
    with pytest.raises(ValueError, match='--window LO HI'):
        load_attack_data(tmp_path / 'sealed', tmp_path / 'plain', num_victims=3, num_pairs=5)
    with pytest.raises(ValueError, match='another image than the one that was sealed'):
        load_attack_data(tmp_path / 'sealed', tmp_path / 'plain', num_victims=3, num_pairs=5,
                         window=(2000, 2100))


def test_a_folder_of_something_else(sealed, tmp_path):
    with pytest.raises(ValueError, match=r'0 victims.*no plain image.*--plain must name'):
        load_attack_data(sealed.folder('mix'), tmp_path, num_victims=3, num_pairs=5)
    with pytest.raises(ManifestError, match='sealing makes it'):
        load_attack_data(tmp_path / 'nowhere', sealed.plain)


def test_no_such_scale(sealed):
    with pytest.raises(ValueError, match='0 images of scale 3'):
        _load(sealed, 'mix', scale=3)


def test_an_edited_manifest(sealed, tmp_path):
    folder = shutil.copytree(sealed.folder('mix'), tmp_path / 'mix')
    text = (folder / 'manifest.json').read_text()
    (folder / 'manifest.json').write_text(text.replace('"grid": 2', '"grid": 4'))
    with pytest.raises(ManifestError, match='edited or damaged'):
        load_attack_data(folder, sealed.plain)


def test_rescaled_images(sealed, tmp_path):
    seal_dataset(SealJob(sealed.plain, tmp_path / 'two', Scheme('mix'),
                         scales=((100, 60), (120, 90))))
    for scale in range(2):
        data = load_attack_data(tmp_path / 'two', sealed.plain, num_victims=3, num_pairs=5,
                                 scale=scale)
        assert not data.skipped
        assert len(Manifest.load(tmp_path / 'two').images) == 20
        for own, known in zip(data.pairs, data.known, strict=True):
            np.testing.assert_array_equal(own.encrypted, known.encrypted)
