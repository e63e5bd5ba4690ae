"""Gradient leakage: what must be found is found, and no order where there are no positions."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import json

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from mmppvit.attacks.attackers.gradient_leakage import (
    attack_client,
    attack_clients,
    leak_of_gradient,
)
from mmppvit.attacks.attackers.gradients.client_model import (
    POSITIONS,
    ClientModel,
    client_gradient,
    gradient_distance,
    to_image,
    to_patches,
)
from mmppvit.attacks.attackers.gradients.closed_forms import (
    label_of,
    linear_input,
    patches_from_positions,
)
from mmppvit.attacks.attackers.gradients.gradient_search import invert_gradient, place_by_gradient
from mmppvit.cli.app import main

P, SHAPE = 8, (4, 4)
SMALL = dict(embed_dims=48, num_layers=2, num_heads=3)


@pytest.fixture(scope='module')
def images(coco_mini) -> list[torch.Tensor]:
    """Photographs of 32 pixels, values in [-1, 1]."""
    paths = sorted((coco_mini / 'val2017').glob('*.jpg'))[:4]
    imgs = [cv2.resize(cv2.imread(str(path)), (32, 32), interpolation=cv2.INTER_AREA)
            for path in paths]
    return [torch.from_numpy(img).permute(2, 0, 1)[None].float() / 127.5 - 1 for img in imgs]


def _model(positions: bool, seed: int = 0, arch: dict = SMALL) -> ClientModel:
    torch.manual_seed(seed)
    return ClientModel(SHAPE, positions, P, arch=arch).eval()


def _random(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_patches_and_back():
    img = _random()
    patches = to_patches(img, P)
    assert patches.shape == (16, 3 * P * P)
    torch.testing.assert_close(to_image(patches, SHAPE, P), img)
    torch.testing.assert_close(patches[5].reshape(3, P, P), img[0, :, 8:16, 8:16])


# --- what must be found --------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(5))
def test_the_input_of_a_linear_layer_is_found_exactly(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 20), nn.GELU(), nn.Linear(20, 10))
    img = _random(seed)
    gradients = client_gradient(model, img, seed)
    found = linear_input(gradients['1.weight'], gradients['1.bias']).reshape(1, 3, 32, 32)
    torch.testing.assert_close(found, img, rtol=1e-4, atol=1e-5)
    assert leak_of_gradient(img, found, P).psnr > 80


@pytest.mark.parametrize('label', [0, 4, 9])
@pytest.mark.parametrize('positions', [False, True])
def test_the_label_is_found(positions, label):
    assert label_of(client_gradient(_model(positions), _random(), label)) == label


def test_search_finds_the_input_of_a_small_network(images):
    """Geiping's attack, where the gradient is known to tell the image."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module('flat', nn.Flatten())
    model.add_module('hidden', nn.Linear(3 * 32 * 32, 16))
    model.add_module('act', nn.GELU())
    model.add_module('head', nn.Linear(16, 10))
    gradients = client_gradient(model, images[0], 2)
    found = invert_gradient(model, gradients, (32, 32), steps=200, variation=1e-3)
    assert leak_of_gradient(images[0], found, P).psnr > 25


def test_positions_give_the_image_away(images):
    """In closed form, from the sum over all patches that the gradient of the embedding is."""
    for seed, img in enumerate(images):
        gradients = client_gradient(_model(True, seed), img, seed)
        found = to_image(patches_from_positions(gradients), SHAPE, P)
        leak = leak_of_gradient(img, found.clamp(-1, 1), P)
        assert leak.psnr > 40
        assert leak.in_place == 1


def test_positions_give_the_order_away(images):
    for seed, img in enumerate(images[:2]):
        model = _model(True, seed)
        order = place_by_gradient(model, client_gradient(model, img, 1), to_patches(img, P), SHAPE,
                                  seed=seed)
        assert (order == np.arange(16)).mean() > .9


# --- what cannot be found ------------------------------------------------------------------------


@pytest.mark.parametrize('seed', range(5))
def test_without_positions_the_gradient_knows_no_order(images, seed):
    """Of every parameter, up to rounding; with positions another order is another gradient."""
    img = images[seed % len(images)]
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    shuffled = to_image(to_patches(img, P)[order], SHAPE, P)
    for positions in (False, True):
        model = _model(positions, seed).double()
        one, other = (client_gradient(model, each.double(), 3) for each in (img, shuffled))
        same = [torch.allclose(one[name], other[name], rtol=1e-9, atol=1e-12) for name in one]
        assert all(same) == (not positions)
        assert (float(gradient_distance(one, other)) < 1e-12) == (not positions)


def test_without_positions_placing_is_guessing(images):
    """Over 10 tries of 16 places, with an attacker that has the very patches."""
    found = []
    for seed in range(10):
        model = _model(False, seed, dict(embed_dims=24, num_layers=1, num_heads=2))
        img = images[seed % len(images)]
        order = place_by_gradient(model, client_gradient(model, img, 1), to_patches(img, P), SHAPE,
                                  seed=seed)
        found.append((order == np.arange(16)).sum())
    assert abs(np.mean(found) - 1) < 4 / np.sqrt(10)  # places right at random: mean and variance 1


def test_without_positions_there_is_no_closed_form():
    gradients = client_gradient(_model(False), _random(), 0)
    with pytest.raises(ValueError, match=f'no parameter {POSITIONS}'):
        patches_from_positions(gradients)


def test_the_two_models_differ_in_positions_only():
    one, other = _model(False), _model(True)
    assert {name for name, _ in other.named_parameters()} - \
        {name for name, _ in one.named_parameters()} == {POSITIONS}
    with torch.no_grad():
        other.load_state_dict(one.state_dict(), strict=False)
        other.backbone.patch_embed.positions.zero_()
        torch.testing.assert_close(one(_random()), other(_random()))


def test_search_is_reproducible(images):
    model = _model(False)
    gradients = client_gradient(model, images[0], 1)
    one, other = (invert_gradient(model, gradients, (32, 32), steps=5, seed=3) for _ in range(2))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


# --- scores --------------------------------------------------------------------------------------


def test_scores_of_an_image_in_another_order(images):
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = to_image(to_patches(images[1], P)[order], SHAPE, P)
    leak = leak_of_gradient(images[1], shuffled, P)
    assert leak.psnr_any_order == 100
    assert leak.psnr < 25
    assert leak.in_place == (order == torch.arange(16)).float().mean()
    assert leak.chance == 1 / 16
    whole = leak_of_gradient(images[1], images[1], P)
    assert (whole.psnr, whole.in_place) == (100, 1)


def test_every_attack_on_one_image(coco_mini):
    img = cv2.imread(str(min((coco_mini / 'val2017').glob('*.jpg'))))
    img = cv2.resize(img, (32, 16), interpolation=cv2.INTER_AREA)
    leaks = attack_client(img, P, steps=3)
    assert list(leaks) == [
        'with positions, search', 'with positions, patches known', 'with positions, closed form',
        'without positions, search', 'without positions, patches known']
    assert leaks['with positions, closed form'].psnr > 40
    assert leaks['with positions, patches known'].in_place == 1
    assert leaks['without positions, patches known'].psnr_any_order == 100
    assert leaks['without positions, patches known'].chance == 1 / 8


# --- the command ---------------------------------------------------------------------------------

SMALL_RUN = ('--size', '16', '--patch-size', '8', '--steps', '2', '--num-images', '2')


def test_attack_gradients_from_the_command_line(tmp_path, coco_mini, capsys):
    for path in sorted((coco_mini / 'val2017').glob('*.jpg'))[:2]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(['attack-gradients', str(tmp_path), *SMALL_RUN, '--json']) == 0
    leaks = json.loads(capsys.readouterr().out)
    assert set(leaks) == set(attack_client(np.zeros((8, 16, 3), np.uint8), P, steps=1))
    assert leaks['with positions, closed form']['psnr'] > 40
    assert leaks['without positions, patches known']['psnr_any_order'] == 100
    assert main(['attack-gradients', str(tmp_path), *SMALL_RUN]) == 0
    assert 'with positions, closed form' in capsys.readouterr().out


def test_images_that_cannot_be_read_are_left_out(tmp_path, coco_mini):
    good = min((coco_mini / 'val2017').glob('*.jpg'))
    (tmp_path / 'a.jpg').write_bytes(good.read_bytes())
    (tmp_path / 'b.jpg').write_bytes(good.read_bytes()[:500])
    lines = []
    attack_clients(tmp_path, 2, 16, 8, steps=1, progress=lines.append)
    assert sorted(line.partition(' ')[2][:6] for line in lines) == ['a.jpg', 'b.jpg:']


@pytest.mark.parametrize(('folder', 'options', 'message'), [
    ('none', (), 'no folder'), ('.', (), 'no images that can be read'),
    ('.', ('--size', '20'), 'not whole patches')])
def test_wrong_input_of_the_command(tmp_path, capsys, folder, options, message):
    assert main(['attack-gradients', str(tmp_path / folder), *options]) == 2
    assert message in capsys.readouterr().err
