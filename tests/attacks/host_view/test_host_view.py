"""Attackers of a host win where gradients tell, and find nothing where they do not."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmppvit.attacks.host_view.host_recording import SeenImage, identify, read_recording
from mmppvit.attacks.host_view.host_scores import score_host
from mmppvit.attacks.host_view.host_truth import _true_image, true_images
from mmppvit.attacks.host_view.true_image import TrueImage
from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.two_party.messages import encode
from mmppvit.two_party.patch_store import cut_patches, move_patches
from mmppvit.two_party.wire_types import pack_rows
from tests.two_party.training_cases import training_config

ROWS, COLS, DIMS = 6, 8, 16
PLACES = np.stack(np.divmod(np.arange(ROWS * COLS), COLS), 1)


def _smooth(rng: np.random.Generator) -> np.ndarray:
    """(N, D) in which neighbors are alike."""
    noise = rng.normal(size=(ROWS + 1, COLS + 1, DIMS))
    return (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]).reshape(-1, DIMS)


def _case(kind: str, count: int = 12, steps: int = 4) -> tuple[list, list]:
    rng = np.random.default_rng(0)
    seen, truth = [], []
    for _ in range(count):
        labels = rng.integers(-1, 2, len(PLACES))
        boxes = np.where(labels < 0, -1, rng.integers(0, 3, len(PLACES)))
        image = SeenImage(rng.integers(0, 256, (len(PLACES), 3, 8, 8), np.uint8),
                          np.zeros((len(PLACES), ) * 2), np.zeros(len(PLACES)),
                          np.zeros((len(PLACES), DIMS)))
        for _ in range(steps):
            grads = rng.normal(size=(len(PLACES), DIMS))
            if kind == 'neighbors':
                grads = _smooth(rng)
            if kind == 'labels':
                grads[labels >= 0] *= 3
                grads[labels == 1, 0] += 9
            if kind == 'boxes':
                grads[boxes >= 0] += 3 * np.eye(DIMS)[boxes[boxes >= 0]]
            image.add(grads)
        seen.append(image)
        truth.append(TrueImage(PLACES, labels, boxes, np.where(boxes < 0, 0, 4. + boxes)))
    return seen, truth


def test_gradients_that_tell_neighbors():
    found = score_host(*_case('neighbors'), known=4)
    for name in ('neighbors', 'neighbors, learned'):
        assert found[name]['gradients'] > .8
        # 82 seams, twice, of 48 * 47 pairs
        assert found[name]['chance'] == pytest.approx(.0728, abs=1e-3)
        assert found[name]['patches'] < .2


def test_gradients_that_tell_boxes():
    found = score_host(*_case('boxes'), known=4)
    assert found['same box']['gradients'] > .95
    assert found['box size']['gradients'] > .9
    assert abs(found['same box']['patches'] - .5) < .1
    assert abs(found['box size']['patches']) < .3


def test_gradients_that_tell_objects_and_classes():
    found = score_host(*_case('labels'), known=4)
    assert found['objects']['gradients'] > .95
    assert found['objects, learned']['gradients'] > .95
    assert found['classes']['gradients'] > .9
    assert found['classes']['chance'] == .5
    assert abs(found['classes']['patches'] - .5) < .15


def test_gradients_that_tell_nothing():
    found = score_host(*_case('noise'), known=4)
    assert found['neighbors']['gradients'] < .15
    for name in ('objects', 'objects, learned', 'classes'):
        assert abs(found[name]['gradients'] - .5) < .15


def test_an_image_is_known_again_in_any_flip_and_order():
    image = torch.randint(0, 256, (3, 16, 24), dtype=torch.uint8)
    name, patches, _ = identify(cut_patches(image, 8))
    for motion in range(8):
        moved = move_patches(image[None], motion)[0].contiguous()
        shuffled = cut_patches(moved, 8)[torch.randperm(6)]
        other, found, places = identify(shuffled)
        assert other == name
        assert torch.equal(found, patches)
        assert sorted(places.tolist()) == list(range(6))
    assert identify(cut_patches(image.flip(0), 8))[0] != name


@pytest.mark.parametrize('wire', ['float32', 'int8', 'sign'])
def test_what_was_received_is_put_together(wire):
    """Gradients follow their patches through flips and permutations."""
    image = torch.randint(0, 256, (3, 16, 24), dtype=torch.uint8)
    grads = torch.randn(6, 8)
    cut, requests = cut_patches(image, 8), []
    for step in range(3):
        order = torch.randperm(6)
        forward = dict(method='forward', session='a', seq=step, train=True, patches=[6])
        requests.append(encode(forward, dict(patches=cut[order].contiguous())))
        requests.append(encode(dict(method='backward', session='a', forward=step, wire=wire),
                               pack_rows(grads[order], wire, '0')))
    (seen, ) = read_recording(requests).values()
    assert seen.steps == 3
    _, _, order = identify(cut)
    expected = grads if wire != 'sign' else grads.sign() * grads.abs().mean(1, keepdim=True)
    scale = expected.square().sum(1).mean().sqrt()
    np.testing.assert_allclose(seen.directions, (3 * expected / scale)[order], atol=.06)


def test_boxes_of_places():
    boxes = np.array([[0, 0, 24, 16], [8, 0, 16, 8.]])
    found = _true_image(np.array([[0, 0], [0, 1], [1, 2], [2, 0]]), 8, boxes, np.array([5, 7]))
    assert found.labels.tolist() == [5, 7, 5, -1]
    assert found.boxes.tolist() == [0, 1, 0, -1]
    assert found.areas.tolist() == [6, 1, 6, 0]
    none = _true_image(PLACES, 8, np.zeros((0, 4)), np.zeros(0))
    assert none.labels.tolist() == none.boxes.tolist() == [-1] * len(PLACES)


def test_the_truth_of_a_config(tmp_path):
    shapes = write_synthetic_shapes(tmp_path / 'plain', 2, 1, (128, 96))
    truth = true_images(training_config(shapes, tmp_path))
    assert len(truth) == 2
    for image in truth.values():
        assert sorted(map(tuple, image.places)) == [(y, x) for y in range(6) for x in range(8)]
        assert (image.labels >= 0).any()
