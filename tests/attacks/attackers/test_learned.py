"""Attacks on learned protection: attackers have the network, and only the right one will do."""
from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import mmppvit
from mmppvit.attacks import Pair
from mmppvit.attacks.attackers.catalogue import ATTACKERS, find_attackers
from mmppvit.attacks.networks.initial_image import InitialImage
from mmppvit.attacks.networks.training import PairSampler
from mmppvit.attacks.report.build import ways_of_use
from mmppvit.attacks.runner import AttackSettings
from mmppvit.encryption import pad_to_patches
from mmppvit.models.protectors import load_protector, protect_image
from mmppvit.models.protectors.protector_scheme import learned_scheme
from mmppvit.sealed import SealJob, seal_dataset
from tests.attacks.reconstruction_cases import drawn_images
from tests.models.other_device import OTHER, other_device
from tests.protectors import write_protector


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """``plain`` has images of no whole patches, ``sealed`` the protected ones."""
    folder = tmp_path_factory.mktemp('protected')
    (folder / 'plain').mkdir()
    for number, img in enumerate(drawn_images(10, 52, 68)):
        cv2.imwrite(str(folder / f'plain/{number}.png'), img)
    scheme = learned_scheme(write_protector(folder / 'protector.safetensors'))
    seal_dataset(SealJob(folder / 'plain', folder / 'sealed', scheme))
    return folder


@pytest.fixture
def settings(folder) -> AttackSettings:
    return AttackSettings(str(folder / 'sealed'), str(folder / 'plain'), num_victims=3, num_pairs=5,
                          budget=1., protector=str(folder / 'protector.safetensors'))


def test_images_in_whole_patches(settings, folder):
    data = settings.load()
    assert (len(data.victims), len(data.pairs), data.skipped) == (3, 5, [])
    assert (data.scheme.patch_size, data.scheme.side) == (16, 16)
    for pair in (*data.victims, *data.pairs):
        assert pair.plain.shape == pair.encrypted.shape == (64, 80, 3)
        original = cv2.imread(str(folder / 'plain' / pair.name))
        assert (pair.plain[:52, :68] == original).all()
        network = load_protector(settings.protector).network
        assert (pair.encrypted[:52, :68] == protect_image(network, original)).all()
        mirrored = pad_to_patches(pair.encrypted[:52, :68], 16, 'mirror')
        np.testing.assert_array_equal(pair.encrypted, mirrored)


def test_attackers_protect_cut_outs_of_their_own(settings):
    data = settings.load()
    network = load_protector(settings.protector).network
    sampler = PairSampler(data.scheme, data.pairs, 0)
    crops = sampler.crops(16, 32)
    assert all(crop.plain.shape == crop.encrypted.shape == (32, 32, 3) for crop in crops)
    anew = [crop for crop in crops
            if (crop.encrypted == protect_image(network, np.ascontiguousarray(crop.plain))).all()]
    assert 0 < len(anew) < len(crops)  # the others are cut out of protected images


@pytest.mark.filterwarnings('ignore:.*copying from a non-meta parameter')
def test_another_device_protects_alike(settings):
    """The network is loaded to where attackers learn."""
    crops = _crops(settings)
    with other_device(), torch.device(OTHER):
        its_crops = _crops(settings)
    for crop, its in zip(crops, its_crops, strict=True):
        np.testing.assert_array_equal(its.encrypted, crop.encrypted)


def _crops(settings: AttackSettings) -> list[Pair]:
    data = settings.load()
    weights = data.scheme.protect.network.state_dict().values()
    assert {weight.device for weight in weights} == {torch.get_default_device()}
    return PairSampler(data.scheme, data.pairs, 0).crops(4, 32)


def test_the_right_protector_or_none(settings, folder, sealed):
    other = write_protector(folder / 'other.safetensors', seed=1)
    with pytest.raises(ValueError, match='give that one'):
        replace(settings, protector=str(other)).load()
    with pytest.raises(ValueError, match='give its file by --protector'):
        replace(settings, protector=None).load()
    with pytest.raises(ValueError, match='scheme mix has no protector: leave --protector out'):
        replace(sealed.settings('mix'), protector=str(other)).load()


def test_other_plain_images_are_found_out(settings, folder, tmp_path):
    for number in range(10):
        img = cv2.imread(str(folder / f'plain/{number}.png'))
        cv2.imwrite(str(tmp_path / f'{number}.png'), 255 - img)
    with pytest.raises(ValueError, match='another image than the one that was sealed'):
        replace(settings, plain=str(tmp_path)).load()


def test_results_of_other_schemes_stay_valid(settings, sealed, folder, tmp_path):
    """Their digest is over what it always was."""
    without = sealed.settings('mix')
    later = ('protector', 'window', 'longest', 'device')  # options that came later
    known = {name: value for name, value in asdict(without).items() if name not in later}
    manifest = hashlib.sha256(Path(without.sealed, 'manifest.json').read_bytes()).hexdigest()
    text = json.dumps([known, 'itn', manifest, mmppvit.__version__], sort_keys=True)
    assert without.digest('itn') == hashlib.sha256(text.encode()).hexdigest()
    moved = tmp_path / 'moved.safetensors'
    moved.write_bytes(Path(settings.protector).read_bytes())
    assert settings.digest('itn') == replace(settings, protector=str(moved)).digest('itn')


def test_networks_begin_with_predicted_colors(settings):
    """From the protected image itself they would have to unlearn what it looks like first."""
    data = settings.load()
    initial = InitialImage(data.scheme)
    victims = [(np.float32(victim.plain), victim.encrypted) for victim in data.victims]
    before = np.mean([np.abs(initial(sealed) - plain).mean() for plain, sealed in victims])
    initial.fit(data.pairs)
    after = np.mean([np.abs(initial(sealed) - plain).mean() for plain, sealed in victims])
    assert after < .8 * before


def test_which_attackers_have_a_meaning(settings):
    scheme = settings.load().scheme
    fit = [name for name, kind in find_attackers().items() if kind.not_for(scheme) is None]
    assert {'thumbnail', 'thumbnail-learned', 'vit', 'itn', 'fr', 'gan', 'diffusion'} == set(fit)
    assert {name for name in ATTACKERS if 'jigsaw' in name}.isdisjoint(fit)


def test_the_report_says_what_it_is(settings):
    scheme = settings.load().scheme
    assert scheme.describe() == f'learned, protector {scheme.protector[:8]}, U-Net of 4-8 channels'
    assert ways_of_use(scheme)[0][0] == 'Frozen model elsewhere'
