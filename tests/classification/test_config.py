"""What the options of a classifier's run do to its images, and to what the model is fed."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from PIL import Image

from mmppvit.classification.config import classification_config
from mmppvit.classification.recipe import SAMPLE
from mmppvit.datasets.synthetic_classes import write_synthetic_classes
from mmppvit.models.classifiers.building import build_classifier

PEVIT = dict(name='pevit_tiny_patch16_224', kwargs=dict(embed_dim=32, depth=1, num_heads=2))
IMAGENET = dict(mean=(.485, .456, .406), std=(.229, .224, .225))


def _config(folder, **options) -> dict:
    model, kwargs = build_classifier(**PEVIT, img_size=32, patch_size=16, grid=1)
    return classification_config(
        str(write_synthetic_classes(folder, 6, 6, 32)), model,
        dict(name=PEVIT['name'], kwargs=kwargs), dict(name='plain'),
        SAMPLE.override(img_size=32, batch_size=4, **options.pop('recipe', {})),
        **options)


@pytest.mark.parametrize(('hflip', 'mirrored'), [(0., False), (1., True)])
def test_images_keep_their_scale_and_side(tmp_path, hflip, mirrored):
    cfg = _config(tmp_path, recipe=dict(crop=1., hflip=hflip))
    data = DATASETS.build(cfg.train_dataloader.dataset)
    for index, (path, _) in enumerate(data.samples):
        img = np.asarray(Image.open(path))
        fed = data[index]['inputs'].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(fed, img[:, ::-1] if mirrored else img)


@pytest.mark.parametrize('normalization', [
    None, dict(mean=(.7, .6, .5), std=(.05, .1, .2)), dict(std=(.05, .1, .2))])
def test_fed_what_a_detector_of_the_same_normalization_is_fed(tmp_path, normalization):
    classifier = MODELS.build(_config(tmp_path, normalization=normalization).model).eval()
    fed = []
    classifier.model.register_forward_pre_hook(lambda module, args: fed.append(args[0]))
    rgb = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    classifier(rgb)

    facts = {key: [255 * value for value in values]
             for key, values in {**IMAGENET, **(normalization or {})}.items()}
    detector = MODELS.build(dict(type='DetDataPreprocessor', bgr_to_rgb=True, **facts))
    expected = detector(dict(inputs=list(rgb.flip(1)), data_samples=None))['inputs']
    torch.testing.assert_close(fed[0], expected)
