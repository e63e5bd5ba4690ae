"""``mmppvit attack-boxes`` where it must win, and where it must not."""
from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mmppvit.attacks.contents.box_attack import attack_boxes, region_map
from mmppvit.encryption import Key, make_scheme
from mmppvit.sealed import SealJob, seal_dataset


@pytest.fixture(scope='module')
def boxed(tmp_path_factory):
    """36 images of 96x96, a box of stripes and a box of nothing in each."""
    folder, rng = tmp_path_factory.mktemp('boxes'), np.random.default_rng(0)
    (folder / 'plain').mkdir()
    images, annotations = [], []
    for k in range(36):
        img = cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (96, 96),
                         interpolation=cv2.INTER_CUBIC)
        y, row, x, column = 16 * rng.choice(5, 4, replace=False)
        y, row = sorted((int(y), int(row)))
        img[y:y + 32, x:x + 32] = np.where(np.arange(32) // 4 % 2, 230, 30)[:, None]
        images.append(dict(id=k + 1, file_name=f'{k}.png', width=96, height=96))
        cv2.imwrite(str(folder / f'plain/{k}.png'), img)
        free = 64 if y < 32 else 0  # rows that have no stripes
        for index, (left, top, side) in enumerate(((x, y, 32), (column, free, 32)), 1):
            annotations.append(dict(id=len(annotations) + 1, image_id=k + 1, category_id=index,
                                    bbox=[int(left), int(top), side, side], area=side**2,
                                    iscrowd=0))
    (folder / 'ann.json').write_text(json.dumps(dict(
        images=images, annotations=annotations,
        categories=[dict(id=1, name='stripes'), dict(id=2, name='nothing')])))
    key = Key.create(folder / 'owner.key')
    for name in ('mix+shuffle', 'mix+center+shuffle', 'mix'):
        options = dict(center_strength=1.) if 'center' in name else {}
        seal_dataset(SealJob(folder / 'plain', folder / name, make_scheme(name, **options),
                             key=key))
    return folder


@pytest.mark.parametrize('scheme', ['mix+shuffle', 'mix+center+shuffle'])
def test_stripes_find_their_box_and_nothing_does_not(boxed, scheme):
    scores = {score.name: score for score in attack_boxes(
        boxed / scheme, boxed / 'plain', [boxed / 'ann.json'], Key.load(boxed / 'owner.key'), 12)}
    assert list(scores) == ['no box', 'stripes', 'nothing']
    assert scores['stripes'].placed > .9
    assert scores['stripes'].low > .7
    assert scores['stripes'].patches == 12 * 4
    assert scores['stripes'].chance == pytest.approx(4 / 36)
    # Smooth backgrounds have dark and light thirds, which tells a little.
    assert scores['nothing'].placed < .5
    assert scores['nothing'].low < .3


def test_a_patch_belongs_to_the_smallest_box_around_its_middle():
    regions = region_map([[(0, 0, 64, 96)], [(16, 16, 33, 32)]], (6, 6), 16)
    assert regions.tolist() == [
        [3, 3, 3, 3, 0, 0], [3, 7, 3, 3, 0, 0], [4, 4, 4, 4, 1, 1],
        [4, 4, 4, 4, 1, 1], [5, 5, 5, 5, 2, 2], [5, 5, 5, 5, 2, 2]]


def test_what_cannot_be_attacked(boxed):
    with pytest.raises(ValueError, match='has no order that boxes could give away'):
        attack_boxes(boxed / 'mix', boxed / 'plain', [boxed / 'ann.json'],
                     Key.load(boxed / 'owner.key'))


def test_command(boxed, run_python):
    done = run_python('-m', 'mmppvit', 'attack-boxes', '--sealed', boxed / 'mix+shuffle',
                      '--plain', boxed / 'plain', '--ann', boxed / 'ann.json', '--num-victims',
                      '4', '--key-file', boxed / 'owner.key', '--json')
    assert done.returncode == 0, done.stderr
    assert [score['name'] for score in json.loads(done.stdout)] == ['no box', 'stripes', 'nothing']
