"""Protectors' files as schemes."""
from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from mmppvit.encryption import read_scheme
from mmppvit.models.protectors import (
    fingerprint,
    load_protector,
    pack_info,
    protect_image,
    save_protector,
)
from mmppvit.models.protectors.protector_scheme import ProtectorFile, bind_protector, learned_scheme
from tests.protectors import tiny_protector, write_protector


@pytest.fixture
def file(tmp_path):
    return write_protector(tmp_path / 'protector.safetensors', made_for='e' * 32)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (37, 50, 3), np.uint8)


def test_a_file_says_all_that_the_scheme_needs(file, image):
    scheme = learned_scheme(file)
    network = load_protector(file).network
    assert scheme.protector == fingerprint(network.state_dict())
    assert scheme.unet == network.settings
    assert (scheme.detector, scheme.patch_size) == ('e' * 32, 1)
    made = scheme.encrypt(image).img
    assert made.shape == image.shape
    assert (made == protect_image(network, image)).all()
    assert made.std() > 10


def test_a_checkpoint_of_training_is_the_same_scheme(file, tmp_path):
    network = tiny_protector()
    state = {f'protector.{name}': value for name, value in network.state_dict().items()}
    state['_extra_state'] = pack_info(network, 'e' * 32)
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'epoch_1.pth')
    assert learned_scheme(tmp_path / 'epoch_1.pth') == learned_scheme(file)


def test_a_scheme_from_a_manifest_is_bound_again(file, image):
    scheme = learned_scheme(file)
    bound = bind_protector(read_scheme(scheme.to_dict()), file)
    assert (bound.encrypt(image).img == scheme.encrypt(image).img).all()


def test_another_protector_none_or_no_file(file, tmp_path):
    scheme = learned_scheme(file)
    other = write_protector(tmp_path / 'other.safetensors', seed=1)
    with pytest.raises(ValueError, match=f'sealed with the protector {scheme.protector}'):
        bind_protector(scheme, other)
    with pytest.raises(ValueError, match='give its file by --protector'):
        bind_protector(scheme, None)
    with pytest.raises(FileNotFoundError, match='no protector'):
        bind_protector(scheme, tmp_path / 'none.safetensors')


def test_images_do_not_depend_on_the_number_of_threads(file, image):
    protect = ProtectorFile(file)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            made.append(protect(image))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert (made[0] == made[1]).all()


def test_other_processes_read_the_file_again(file, image):
    protect = ProtectorFile(file)
    sent = pickle.dumps(protect)
    assert len(sent) < 1000  # no weights
    assert (pickle.loads(sent)(image) == protect(image)).all()
    write_protector(file, seed=1)
    with pytest.raises(ValueError, match='was replaced while it was in use'):
        pickle.loads(sent)


def test_protectors_of_other_channels_do_not_seal(tmp_path):
    save_protector(tmp_path / 'gray.safetensors', tiny_protector(in_channels=1))
    with pytest.raises(ValueError, match='protects images of 1 channels'):
        learned_scheme(tmp_path / 'gray.safetensors')
