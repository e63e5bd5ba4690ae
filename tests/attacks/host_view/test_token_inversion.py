"""``mmppvit.attacks.host_view.token_inversion``: where tokens tell all, and where nothing."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mmppvit.attacks.host_view.token_inversion import attack_tokens, invert_tokens
from mmppvit.two_party.split import BackboneHalf, write_part


def _pairs(count: int, tell: float, seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(9).normal(size=(12, 24))
    pairs = []
    for _ in range(count):
        pixels = rng.uniform(50, 200, (60, 12)).astype(np.float32)
        tokens = tell * pixels @ mix + rng.normal(size=(60, 24))
        pairs.append((tokens.astype(np.float32), pixels))
    return pairs


def test_linear_tokens_give_pixels_back():
    found = invert_tokens(_pairs(4, 1.), _pairs(3, 1., seed=1))
    assert found.explained > .99
    assert found.psnr > found.mean_patch_psnr + 15
    assert (found.learned_from, found.images) == (4, 3)
    assert found.low <= found.explained <= found.high


def test_noise_gives_nothing_back():
    found = invert_tokens(_pairs(30, 0.), _pairs(3, 0., seed=1))
    assert abs(found.explained) < .1
    assert found.psnr == pytest.approx(found.mean_patch_psnr, abs=.3)


@pytest.fixture
def half(tmp_path):
    """A backbone half of random weights for patches of 16, mixed to 8."""
    torch.manual_seed(0)
    backbone = dict(arch=dict(embed_dims=96, num_layers=1, num_heads=2), patch_size=16, grid=2)
    preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
                        bgr_to_rgb=True, pad_size_divisor=8)
    model = BackboneHalf(backbone, preprocessor)
    weights = dict(model.backbone.state_dict())
    path = tmp_path / 'backbone.safetensors'
    write_part(path, 'backbone', weights, dict(backbone=backbone, preprocessor=preprocessor))
    return path


def test_a_backbone_of_random_weights(half, coco_mini, tmp_path):
    (tmp_path / 'images').mkdir()
    for file in sorted((coco_mini / 'val2017').glob('*.jpg'))[:12]:
        cv2.imwrite(str(tmp_path / f'images/{file.stem}.png'),
                    cv2.resize(cv2.imread(str(file)), (100, 75), interpolation=cv2.INTER_AREA))
    found = attack_tokens(half, [tmp_path / 'images'])
    assert found.explained > .5
    assert (found.learned_from, found.images) == (6, 6)


def test_too_few_images(half, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match='1 images are too few'):
        attack_tokens(half, [tmp_path / 'a.png'])
