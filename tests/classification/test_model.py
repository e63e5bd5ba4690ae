"""What the model of a classifier's run is fed."""
from __future__ import annotations

from mmppvit.classification import write_drawn_classes
from mmppvit.classification.choice import build_classifier
from mmppvit.classification.config import classification_config
from mmppvit.classification.recipe import SAMPLE

import pytest
import torch
from mmdet.registry import MODELS

PEVIT = dict(name='pevit_tiny_patch16_224', kwargs=dict(embed_dim=32, depth=1, num_heads=2))
IMAGENET = dict(mean=(.485, .456, .406), std=(.229, .224, .225))


@pytest.mark.parametrize('normalisation', [
    None, dict(mean=(.7, .6, .5), std=(.05, .1, .2)), dict(std=(.05, .1, .2))])
def test_fed_what_a_detector_of_the_same_normalisation_is_fed(tmp_path, normalisation):
    recipe = SAMPLE.override(img_size=32, batch_size=4)
    model, kwargs = build_classifier(**PEVIT, img_size=32, patch_size=16, grid=1)
    cfg = classification_config(
        str(write_drawn_classes(tmp_path, 6, 6, 32)), model,
        dict(name=PEVIT['name'], kwargs=kwargs), dict(name='plain'), recipe,
        normalisation=normalisation)
    classifier = MODELS.build(cfg.model).eval()
    fed = []
    classifier.model.register_forward_pre_hook(lambda module, args: fed.append(args[0]))
    rgb = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    classifier(rgb)

    facts = {key: [255 * value for value in values]
             for key, values in {**IMAGENET, **(normalisation or {})}.items()}
    detector = MODELS.build(dict(type='DetDataPreprocessor', bgr_to_rgb=True, **facts))
    expected = detector(dict(inputs=list(rgb.flip(1)), data_samples=None))['inputs']
    torch.testing.assert_close(fed[0], expected)
