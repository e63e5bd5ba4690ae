"""Views, probes and their intervals; and the command on a toy."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import csv
from itertools import pairwise

import numpy as np
import pytest

from mmppvit.models.checkpoints import write_state_dict
from mmppvit.transfer.object_views import ViewOptions, cut_square, cut_views
from mmppvit.transfer.probe_run import ProbeJob, run_probe, settings_of
from mmppvit.transfer.probes import (
    PROBES,
    balanced_accuracy,
    bootstrap_over_images,
    cross_validate,
)
from mmppvit.transfer.scheme_text import scheme_from_text
from tests.transfer.toys import COLORS, toy_state, write_photographs


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp('toys'))


OPTIONS = ViewOptions(size=32, min_per_class=4)


def test_views_show_their_objects(photographs):
    views = cut_views(*photographs, OPTIONS)
    assert views.classes == tuple(COLORS)
    assert views.images.shape == (16, 32, 32, 3)
    for img, label in zip(views.images, views.labels, strict=True):
        np.testing.assert_array_equal(img[16, 16], COLORS[views.classes[label]])
    assert sorted(views.groups) == [i // 2 for i in range(16)]


def test_views_are_drawn_once_and_alike(photographs):
    some = ViewOptions(size=32, min_per_class=4, max_views=6)
    first, again = (cut_views(*photographs, some) for _ in range(2))
    assert np.bincount(first.labels).tolist() == [3, 3]
    np.testing.assert_array_equal(first.images, again.images)
    other = cut_views(*photographs, ViewOptions(size=32, min_per_class=4, max_views=6, seed=1))
    assert not np.array_equal(first.groups, other.groups)


def test_places_without_objects(photographs):
    options = ViewOptions(size=20, context=1, min_per_class=4, background=True)
    views = cut_views(*photographs, options)
    assert views.classes == (*COLORS, 'background')
    empty = views.images[views.labels == 2]
    assert len(empty) >= 4
    assert empty.min() >= 85  # cubic resizing overshoots little on noise of 90 to 130
    assert empty.max() <= 135


@pytest.mark.parametrize(('middle', 'side'), [((5, 5), 4), ((0, 9), 6), ((9, 9), 8), ((5, 5), 30)])
def test_squares_are_mirrored_beyond_the_border(middle, side):
    img = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    padded = np.pad(img, ((20, 20), (20, 20), (0, 0)), 'reflect')
    left, top = (20 + round(place - side / 2) for place in middle)
    np.testing.assert_array_equal(cut_square(img, middle, side, side),
                                  padded[top:top + side, left:left + side])


def test_too_few_objects(photographs):
    with pytest.raises(ValueError, match=r'0 classes have 20 objects .* --background'):
        cut_views(*photographs, ViewOptions())
    with pytest.raises(ValueError, match='context has to be at least 1'):
        ViewOptions(context=.5)


@pytest.mark.parametrize('name', PROBES)
def test_probes_tell_what_can_be_told_and_nothing_else(name):
    rng = np.random.default_rng(0)
    labels, groups = np.arange(200) % 2, np.arange(200) // 2
    noise = rng.normal(size=(200, 5))
    told = noise + [[0, 0, 9, 0, 0]] * labels[:, None]
    found = cross_validate(PROBES[name], told, labels, groups)
    assert balanced_accuracy(labels, found) > .98
    guessed = bootstrap_over_images(labels, cross_validate(PROBES[name], noise, labels, groups),
                                    groups)
    assert guessed.low < .5 < guessed.high


@pytest.mark.parametrize('name', PROBES)
def test_no_image_helps_itself(name):
    """Views of one image are equal, and its labels are drawn: seen ones would be 'told'."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 4)
    labels = np.repeat(rng.integers(0, 2, 60), 4)
    features = np.repeat(rng.normal(size=(60, 40)), 4, axis=0)
    score = bootstrap_over_images(labels, cross_validate(PROBES[name], features, labels, groups),
                                  groups)
    assert score.accuracy < .75
    assert score.high - score.low > .15  # that of 60 images, not of 240 views


def test_balanced_accuracy_is_the_mean_recall():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    assert balanced_accuracy(labels, predicted) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    score = bootstrap_over_images(labels, predicted, np.arange(6))
    assert score.accuracy == balanced_accuracy(labels, predicted)
    assert 0 <= score.low < score.accuracy < score.high <= 1


def test_a_class_in_one_image():
    with pytest.raises(ValueError, match='in one image only'):
        cross_validate(PROBES['nearest'], np.zeros((4, 2)), np.array([0, 0, 0, 1]),
                       np.array([0, 1, 2, 3]))


@pytest.mark.parametrize(('text', 'expected'), [
    ('mix', dict(name='mix', grid=2, center_strength=0.)),
    ('mix+center,grid=4', dict(grid=4, center_strength=1., patch_size=16)),
    ('mix+center,normalize=true,center_strength=0.5', dict(normalize=True, center_strength=.5)),
    ('downsample,patch_size=8', dict(name='downsample', patch_size=8, grid=2)),
])
def test_schemes_in_one_word(text, expected):
    scheme = scheme_from_text(text)
    assert expected.items() <= scheme.to_dict().items()


@pytest.mark.parametrize(('text', 'message'), [
    ('mixx', "no scheme 'mixx'"),
    ('mix,grid', r"'mix,grid' is not NAME\[,PARAMETER=VALUE...\]"),
    ('mix,gird=4', 'scheme mix has no parameter of such a name'),
    ('mix,grid=3', 'grid 3 does not divide'),
    ('mix,grid=x', 'grid'),
    ('plain,grid=2', 'plain has no parameters'),
    ('mix+shuffle,drop=0.5', 'leave drop out'),
])
def test_wrong_schemes(text, message):
    with pytest.raises(ValueError, match=message):
        scheme_from_text(text)


def test_a_scheme_has_the_patches_of_its_backbone(photographs):
    assert ProbeJob(*photographs, schemes=('mix,patch_size=16', ))
    with pytest.raises(ValueError, match='has patches of 8 pixels, and not 16'):
        ProbeJob(*photographs, schemes=('mix,patch_size=8', ))


def test_nothing_to_probe(photographs, tmp_path):
    write_state_dict(tmp_path / 'vit.safetensors', toy_state())
    job = ProbeJob(*photographs, [tmp_path / 'vit.safetensors'], ('mix+shuffle', ),
                   positions=('kept', ), floor=False)
    with pytest.raises(ValueError, match='nothing to probe'):
        run_probe(job)


def test_every_class_has_a_view(photographs):
    views = cut_views(*photographs, ViewOptions(max_views=2, min_per_class=4, background=True))
    assert len(views.labels) == len(views.classes) == 3


def test_rows_are_those_that_make_a_difference(photographs):
    job = ProbeJob(*photographs, schemes=('plain', 'mix+shuffle'), patch_sizes=(8, 16),
                   positions=('kept', 'none'), kernels=('pinv', 'bicubic'))
    rows = list(settings_of(job, dict(vit=toy_state())))
    assert len(rows) == len(set(rows)) == 13
    assert {row.kernel for row in rows if row.patch_size == 8} == {'-'}
    assert {row.positions for row in rows if row.scheme == 'mix+shuffle'} == {'none'}
    assert sum(row.weights == 'random' for row in rows) == 4
    assert {row.patch_size for row in rows} == {8, 16}
    direct = ProbeJob(*photographs, schemes=('plain', 'mix'), patch_sizes=(8, ),
                      positions=('none', ), kernels=('pinv', 'direct'), floor=False)
    assert [(row.scheme, row.kernel) for row in settings_of(direct, dict(vit=toy_state()))] == [
        ('plain', '-'), ('mix', 'pinv'), ('mix', 'direct')]
    assert all(a != b for a, b in pairwise(rows))


def test_the_command(photographs, tmp_path, run_tool_main, capsys):
    write_state_dict(tmp_path / 'vit.safetensors', toy_state())
    ann, folder = photographs
    args = ['probe', '--weights', tmp_path / 'vit.safetensors', '--ann', ann, '--img-dir', folder,
            '--patch-size', 8, '--cells', 4, '--min-per-class', 4, '--schemes', 'plain', 'mix',
            'mix+center', '--num-heads', 3]
    assert run_tool_main(*args, '--positions', 'kept', 'class', '--out', tmp_path / 'a.csv') == 0
    out = capsys.readouterr().out
    assert 'vit plain 8 kept - imagenet: nearest 1.000 [1.000, 1.000], linear 1.000' in out
    assert '16 views of 2 classes: red, blue; chance 0.500' in out
    with open(tmp_path / 'a.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 3
    assert {row['set'] for row in rows} == {'instances'}
    assert all(0 <= float(row['linear_low']) <= float(row['linear']) for row in rows)
    assert run_tool_main(*args, '--no-positions', '--no-floor', '--test-ann', ann,
                         '--statistics', 'measured', '--out', tmp_path / 'b.csv') == 0
    assert len((tmp_path / 'b.csv').read_text().splitlines()) == 1 + 3 * 2
    assert run_tool_main(*args, '--context', '0.5') == 2
    assert 'context has to be at least 1' in capsys.readouterr().err
