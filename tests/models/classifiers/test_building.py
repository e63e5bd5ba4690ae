"""Which model sees which images, and what is said where they do not fit."""
from __future__ import annotations

import pytest
import torch

from mmppvit.models.classifiers.building import build_classifier, choose_model

TINY = dict(embed_dim=24, depth=1, num_heads=3)


def test_mixed_images_choose_the_model_for_them():
    assert choose_model('pevit_tiny_patch16_224', True) == 'pevit_tiny_patch16_224_mix'
    assert choose_model('pevit_tiny_patch16_224_mix', True) == 'pevit_tiny_patch16_224_mix'
    assert choose_model('pevit_tiny_patch16_224', False) == 'pevit_tiny_patch16_224'
    with pytest.raises(ValueError, match='did you mean pevit_tiny_patch16_224'):
        choose_model('pevit_tiny_patch16', False)


@pytest.mark.parametrize(('name', 'kwargs', 'grid'), [
    ('pevit_tiny_patch16_224', {}, 1),
    ('pevit_tiny_patch16_224_mix', {}, 2),
    ('pevit_tiny_patch16_224_mix', {}, 4),
    ('pevit_tiny_patch16_224_mix', dict(mix_input=True), 1),
    ('deit_tiny_patch16_224', {}, 1),
    ('deit_tiny_patch16_224', dict(patch_size=8), 2)])
def test_models_take_the_images_they_were_built_for(name, kwargs, grid):
    model, _ = build_classifier(name, TINY | kwargs | dict(num_classes=3), 64, 16, grid)
    assert model(torch.zeros(1, 3, 64 // grid, 64 // grid)).shape == (1, 3)


@pytest.mark.parametrize(('name', 'kwargs', 'sizes', 'message'), [
    ('pevit_tiny_patch16_224_mix', {}, (64, 16, 1), 'choose --encrypt mix'),
    ('pevit_tiny_patch16_224', {}, (100, 16, 1), 'choose 96 or 112'),
    ('pevit_tiny_patch16_224', {}, (64, 16, 3), 'grid 3 does not divide'),
    ('pevit_tiny_patch16_224', dict(color=1), (64, 16, 1), 'see --model-kwargs'),
    ('deit_tiny_patch16_224', {}, (64, 16, 2), 'patch_size=8'),
    ('deit_tiny_patch16_224', {}, (64, 8, 1), 'patch_size=8')])
def test_what_does_not_fit_is_told_with_a_remedy(name, kwargs, sizes, message):
    with pytest.raises(ValueError, match=message):
        build_classifier(name, TINY | kwargs, *sizes)
