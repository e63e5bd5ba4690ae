"""``mmppvit attack-contents`` where it must win, and where it must not."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mmppvit.attacks.contents.content_attack import attack_contents, score_contents
from mmppvit.attacks.contents.patch_words import patch_vectors
from mmppvit.encryption import Key, make_scheme, split_patches
from mmppvit.sealed import SealJob, seal_dataset


def _image(rng: np.random.Generator, striped: bool) -> np.ndarray:
    """Smooth; one of 12 patches may have stripes."""
    img = cv2.resize(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8), (64, 48),
                     interpolation=cv2.INTER_CUBIC)
    if striped:
        y, x = 16 * rng.integers(3), 16 * rng.integers(4)
        img[y:y + 16, x:x + 16] = np.where(np.arange(16) // 4 % 2, 230, 30)[:, None]
    return img


@pytest.fixture(scope='module')
def labeled(tmp_path_factory):
    """40 images with a class that is seen, one that is not, and one that is rare."""
    folder, rng = tmp_path_factory.mktemp('contents'), np.random.default_rng(0)
    (folder / 'plain').mkdir()
    images, annotations = [], []
    for k in range(40):
        striped = k % 2 == 0
        cv2.imwrite(str(folder / f'plain/{k}.png'), _image(rng, striped))
        images.append(dict(id=k + 1, file_name=f'{k}.png', width=64, height=48))
        shown = [1] * striped + [2] * bool(rng.random() < .5) + [3] * (k < 3)
        annotations += [dict(image_id=k + 1, category_id=c, bbox=[0, 0, 9, 9], area=81, iscrowd=0)
                        for c in shown]
    for k, item in enumerate(annotations):
        item['id'] = k + 1
    (folder / 'ann.json').write_text(json.dumps(dict(
        images=images, annotations=annotations,
        categories=[dict(id=1, name='stripes'), dict(id=2, name='luck'), dict(id=3, name='rare')])))
    key = Key.create(folder / 'owner.key')
    for name in ('mix+shuffle', 'mix+center+shuffle'):
        options = dict(center_strength=1.) if 'center' in name else {}
        seal_dataset(SealJob(folder / 'plain', folder / name, make_scheme(name, **options),
                             key=key))
    return folder


@pytest.mark.parametrize('scheme', ['mix+shuffle', 'mix+center+shuffle'])
def test_stripes_are_told_whatever_the_order_and_luck_is_not(labeled, scheme):
    scores = {score.name: score for score in attack_contents(
        labeled / scheme, [labeled / 'ann.json'], labeled / 'plain')}
    assert set(scores) == {'stripes', 'luck'}
    assert scores['stripes'].sealed > .9
    assert scores['stripes'].low > .75
    assert scores['stripes'].plain > .9
    assert scores['stripes'].size == .5  # all are of one size
    # The key is drawn anew each time: over keys the area has mean 0.45 and deviation 0.06.
    assert scores['luck'].low < .5
    assert scores['luck'].sealed < .75
    assert scores['stripes'].with_it == 20
    assert scores['stripes'].images == 40


def test_the_order_is_nothing_to_it():
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    vectors = patch_vectors(img, 16)
    assert vectors.shape == (12, 55)
    patch = np.ascontiguousarray(split_patches(img, 16)[1, 2])
    np.testing.assert_allclose(patch_vectors(patch, 16)[0], vectors[6], rtol=1e-5)


def test_sizes_tell_where_they_differ():
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2 == 0
    bags = [rng.normal(size=(6, 55)).astype(np.float32) for _ in label]
    size = np.stack([100 + 50 * label, np.full(40, 80)], 1).astype(float)
    score, = score_contents(dict(sealed=bags, size=size), dict(wide=label))
    assert score.size == 1
    assert score.plain is None


def test_nothing_to_be_told(labeled, tmp_path):
    ann = json.loads((labeled / 'ann.json').read_text())
    ann['annotations'] = []
    (tmp_path / 'none.json').write_text(json.dumps(ann))
    with pytest.raises(ValueError, match='no class is on at least 8 of the 40 images'):
        attack_contents(labeled / 'mix+shuffle', [tmp_path / 'none.json'])


def test_command(labeled, run_python):
    done = run_python('-m', 'mmppvit', 'attack-contents', '--sealed', labeled / 'mix+shuffle',
                      '--ann', labeled / 'ann.json')
    assert done.returncode == 0, done.stderr
    assert 'stripes' in done.stdout
    assert '20 of 40' in done.stdout
