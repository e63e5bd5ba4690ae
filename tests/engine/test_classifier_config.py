"""What options do to the config of a classifier, to its images, and to what the model is fed."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from PIL import Image

from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.engine import ClassifierOptimWrapperConstructor
from mmppvit.engine.classifier_run import (
    DEIT_CONFIG,
    SYNTHETIC_CONFIG,
    ClassifierOptions,
    classifier_config,
)

TINY = dict(embed_dim=32, depth=1, num_heads=2)
IMAGENET = dict(mean=(.485, .456, .406), std=(.229, .224, .225))


@pytest.fixture
def config(tmp_path):
    """``config(encrypt='mix', recipe=...)``: of a tiny PEViT on six synthetic images of 32x32."""

    def make(recipe: dict = {}, **options) -> Config:
        options = dict(dict(work_dir=str(tmp_path), num_train=6, num_val=6, model_kwargs=TINY),
                       **options)
        return classifier_config(ClassifierOptions(
            recipe=dict(img_size=32, batch_size=4) | recipe, **options))

    return make


@pytest.mark.parametrize(('hflip', 'mirrored'), [(0., False), (1., True)])
def test_images_keep_their_scale_and_side(config, hflip, mirrored):
    data = DATASETS.build(config(dict(crop=1., hflip=hflip)).train_dataloader.dataset)
    for index, (path, _) in enumerate(data.samples):
        img = np.asarray(Image.open(path))
        fed = data[index]['inputs'].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(fed, img[:, ::-1] if mirrored else img)


@pytest.mark.parametrize('normalization', [
    {}, dict(mean=(.7, .6, .5), std=(.05, .1, .2)), dict(std=(.05, .1, .2))])
def test_fed_what_a_detector_of_the_same_normalization_is_fed(config, normalization):
    in_levels = {key: [255 * value for value in values] for key, values in normalization.items()}
    classifier = MODELS.build(config(**in_levels).model).eval()
    fed = []
    classifier.model.register_forward_pre_hook(lambda module, args: fed.append(args[0]))
    rgb = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    classifier(rgb)

    facts = {key: [255 * value for value in values]
             for key, values in {**IMAGENET, **normalization}.items()}
    detector = MODELS.build(dict(type='DetDataPreprocessor', bgr_to_rgb=True, **facts))
    expected = detector(dict(inputs=list(rgb.flip(1)), data_samples=None))['inputs']
    torch.testing.assert_close(fed[0], expected)


@pytest.mark.parametrize(('name', 'encryption', 'grid', 'model'), [
    (DEIT_CONFIG, 'plain', 1, 'pevit_tiny_patch16_224'),
    (DEIT_CONFIG.replace('plain', 'shuffle'), 'shuffle', 1, 'pevit_tiny_patch16_224'),
    (DEIT_CONFIG.replace('plain', 'mix'), 'mix', 2, 'pevit_tiny_patch16_224_mix'),
    (DEIT_CONFIG.replace('plain', 'mix-shuffle'), 'mix+shuffle', 2, 'pevit_tiny_patch16_224_mix'),
    (SYNTHETIC_CONFIG, 'plain', 1, 'pevit_tiny_patch16_224'),
    (SYNTHETIC_CONFIG.replace('plain', 'shuffle'), 'shuffle', 1, 'pevit_tiny_patch16_224'),
    (SYNTHETIC_CONFIG.replace('plain', 'mix'), 'mix', 2, 'pevit_tiny_patch16_224_mix'),
    (SYNTHETIC_CONFIG.replace('plain', 'mix-shuffle'), 'mix+shuffle', 2,
     'pevit_tiny_patch16_224_mix')])
def test_config_files_say_what_the_options_say(config, configs, tmp_path, name, encryption, grid,
                                               model):
    """A config of its own, and ``--encrypt`` on the plain one, train the same model alike."""
    data = str(write_synthetic_classes(tmp_path / 'data', 6, 6, 32))
    plain = name.replace(encryption.replace('+', '-'), 'plain')
    own, overridden = (
        config(config=file, data=data, **options)
        for file, options in ((name, {}), (plain, dict(encrypt=encryption))))
    assert own.model == overridden.model
    for key in ('train_dataloader', 'val_dataloader'):
        assert own[key].dataset.encryption.name == encryption
        for cfg in (own, overridden):  # without mixing, the grid has no effect
            cfg[key].dataset.encryption.pop('grid', None)
        assert own[key] == overridden[key]
    assert own.model.name == Config.fromfile(configs / f'{name}.py').model.name == model
    assert own.model.kwargs.grid == grid
    network = MODELS.build(own.model).model
    side = 32 // grid
    assert network(torch.zeros(1, 3, side, side)).shape == (1, 6)


def test_another_model_brings_its_normalization_and_its_crop(config, tmp_path):
    data = str(write_synthetic_classes(tmp_path / 'data', 6, 6, 32))
    cfg = config(data=data, model='resnet20_cifar', model_kwargs={}, recipe=dict(drop_path=0))
    transform = cfg.val_dataloader.dataset.transform
    assert (transform.interpolation, transform.crop_pct) == ('bilinear', 1.)
    assert cfg.train_dataloader.dataset.transform.mean == (.4914, .4822, .4465)
    cfg = config(model='deit_tiny_patch16_224')  # synthetic images are evaluated whole
    assert cfg.val_dataloader.dataset.transform.crop_pct == 1
    assert 'grid' not in cfg.model.kwargs


@pytest.mark.parametrize(('recipe', 'warmup', 'cosine'), [
    ({}, 1, 9), (dict(epochs=1), 0, 1), (dict(epochs=20, warmup_epochs=4), 4, 16),
    (dict(warmup_epochs=0), 0, 10), (dict(epochs=10, warmup_epochs=12), 2, 8)])
def test_schedules_cover_all_epochs(config, recipe, warmup, cosine):
    cfg = config(recipe)
    *linear, last = cfg.param_scheduler
    assert [step.end for step in linear] == ([warmup] if warmup else [])
    assert (last.begin, last.end - last.begin, last.T_max) == (warmup, cosine, cosine)
    assert cfg.train_cfg.max_epochs == last.end == recipe.get('epochs', 10)


@pytest.mark.parametrize(('recipe', 'message'), [
    (dict(mixup=.8, batch_size=3), 'odd'), (dict(epochs=0), '--epochs must be at least 1'),
    (dict(crop_pct=0), '--crop-pct 0 is not a share')])
def test_recipes_that_make_no_sense(config, recipe, message):
    with pytest.raises(ValueError, match=message):
        config(recipe)


def test_vectors_and_what_the_model_exempts_do_not_decay(config):
    cfg = config()
    model = MODELS.build(cfg.model)
    assert cfg.optim_wrapper.pop('constructor') == ClassifierOptimWrapperConstructor.__name__
    wrapper = ClassifierOptimWrapperConstructor(cfg.optim_wrapper)(model)
    decayed = {id(param) for group in wrapper.optimizer.param_groups if group['weight_decay']
               for param in group['params']}
    names = {name for name, param in model.model.named_parameters() if id(param) in decayed}
    assert 'patch_embed.proj.weight' in names
    assert 'head.weight' in names
    assert not names & {'cls_token', 'reference_encoding.reference'}
    assert not any(name.endswith('bias') or 'norm' in name for name in names)


def test_paths_exist_for_each_default():
    for name in (DEIT_CONFIG, SYNTHETIC_CONFIG):
        assert (Path(__file__).parents[2] / f'configs/{name}.py').is_file()
