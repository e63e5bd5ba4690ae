"""A classifier that stays as it is, and the protector in front of it."""
from __future__ import annotations

import copy

import pytest
import timm
import torch

from mmppvit.evaluation.protected_accuracy import WAYS, jpeg, measure
from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.classifiers.protected_classifier import ProtectedClassifier
from mmppvit.models.protectors import load_protector

CLASSIFIER = dict(type='TimmClassifier', name='resnet20_cifar', kwargs=dict(num_classes=3))


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'classifier.safetensors'
    write_state_dict(path, timm.create_model('resnet20_cifar', num_classes=3).state_dict())
    return path


@pytest.fixture
def build(weights):

    def build(**options) -> ProtectedClassifier:
        torch.manual_seed(1)
        return ProtectedClassifier(**{**dict(
            classifier=CLASSIFIER, checkpoint=str(weights),
            protector=dict(type='ProtectionUNet', arch=(4, 8)),
            perceptual=dict(type='RandomFeatureDistance', channels=(4, 8))), **options})

    return build


@pytest.fixture
def batch():
    torch.manual_seed(2)
    return dict(inputs=torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8),
                label=torch.arange(6) % 3)


def _step(model, batch, optimizer) -> dict:
    losses = model(**batch, mode='loss')
    total, logged = model.parse_losses(losses)
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return logged


def test_only_the_protector_learns(build, batch):
    model = build(alpha=1.).train()
    before = copy.deepcopy(model.state_dict())
    learning = [value for value in model.parameters() if value.requires_grad]
    assert learning == list(model.protector.parameters())
    optimizer = torch.optim.SGD(learning, .1)
    for _ in range(3):
        _step(model, batch, optimizer)
    for name, value in model.state_dict().items():
        if name.startswith(('classifier.', 'perceptual.')):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(model.protector.head.weight, before['protector.head.weight'])


def test_the_loss_is_cross_entropy_less_the_distance(build, batch):
    model = build(alpha=.5).eval()
    losses = model(**batch, mode='loss')
    protected = model.protect(batch['inputs'], False)
    logits = model.classifier(protected)
    assert losses['loss_class'] == torch.nn.functional.cross_entropy(logits, batch['label'])
    assert losses['loss_perceptual'] == -.5 * losses['perceptual_distance']
    total, logged = model.parse_losses(losses)
    assert total == losses['loss_class'] + losses['loss_perceptual']
    assert 'perceptual_distance' in logged


def test_protected_images_become_easier_to_classify(build, batch):
    model = build(alpha=0.).train()
    optimizer = torch.optim.Adam(model.protector.parameters(), .01)
    first, *_, last = (_step(model, batch, optimizer)['loss_class'] for _ in range(30))
    assert last < .5 * first


def test_rounding_in_training_passes_the_gradient(build, batch):
    model = build(quantize=True).train()
    whole = model.protect(batch['inputs'], True)
    assert torch.equal(whole, whole.round())
    model.parse_losses(model(**batch, mode='loss'))[0].backward()
    assert model.protector.head.weight.grad.abs().sum() > 0


def test_a_loss_that_is_not_finite_stops(build, batch):
    model = build()
    model.protector.head.bias.data[0] = float('nan')
    with pytest.raises(RuntimeError, match='the loss is not finite'):
        model.parse_losses(model(**batch, mode='loss'))


def test_checkpoints_are_for_one_classifier(build, tmp_path):
    model = build()
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'epoch_1.pth')
    found = load_protector(tmp_path / 'epoch_1.pth')
    assert found.made_for == model.made_for
    other = build()
    other.load_state_dict(model.state_dict())
    other.classifier.model.head.bias.data.add_(1)
    with pytest.raises(ValueError, match='trained for a classifier of other weights'):
        other.load_state_dict(model.state_dict())


def test_what_makes_no_sense(build, tmp_path):
    with pytest.raises(ValueError, match='alpha must not be negative'):
        build(alpha=-1.)
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        build(checkpoint=str(tmp_path / 'none.safetensors'))


def test_jpeg_is_lossy_and_keeps_what_is_flat():
    flat = torch.full((2, 3, 16, 16), 77.)
    flat[:, 1] = 140
    assert (jpeg(flat) - flat).abs().max() <= 1
    noise = torch.randint(0, 256, (1, 3, 16, 16)).float()
    lossy = jpeg(noise)
    assert (lossy - noise).abs().mean() > 4
    assert (jpeg(noise, 30) - noise).abs().mean() > (lossy - noise).abs().mean()


def test_the_table_counts_over_batches(build, batch):
    model = build()
    row = measure(model, [batch, {key: value[:3] for key, value in batch.items()}])
    assert set(row) == {*WAYS, 'SSIM'}
    with torch.inference_mode():
        guesses = model.classifier(batch['inputs']).argmax(1)
    hits = guesses == batch['label']
    assert row['plain'] == pytest.approx(100 * (hits.sum() + hits[:3].sum()).item() / 9)
    assert 0 <= row['SSIM'] < 1
    ranked = model(**batch, mode='predict')
    assert [sample['label'] for sample in ranked] == batch['label'].tolist()
