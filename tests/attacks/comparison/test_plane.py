"""``mmppvit.attacks.comparison.plane``: dominance and Pareto fronts of made-up reports."""
from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.attacks.comparison.plane import dominates, front, sentences, write_csv
from mmppvit.attacks.comparison.plot import write_plot
from mmppvit.attacks.comparison.reading import parse_point, read_map, read_point, read_points
from mmppvit.encryption import make_scheme

OPTIONS = {'blur': dict(grid=1, strength=2.), 'pixelate': dict(grid=1, strength=8.)}


def _metric(mean: float) -> dict:
    return dict(mean=mean, low=mean, high=mean, worst=mean, worst_index=0, count=4)


def _row(name: str, status: str = 'done', **means: float) -> dict:
    return dict(name=name, status=status,
                metrics={key: _metric(mean) for key, mean in means.items()})


def write_report(folder: Path, scheme: str, *rows: dict, floor: float = .2, **more) -> Path:
    """A ``report.json`` with what a comparison reads."""
    folder.mkdir(parents=True)
    made = make_scheme(scheme, **OPTIONS.get(scheme, {}))
    (folder / 'report.json').write_text(json.dumps(dict(
        scheme=made.to_dict(), rows=rows, floor=_row('floor', ssim=floor), victims=list('abcd'),
        **more)))
    return folder


@pytest.fixture
def reports(tmp_path) -> dict[str, Path]:
    """Four points: blur is worse than mix in all, and mix+shuffle hides most at less mAP."""
    return {
        'mix': write_report(tmp_path / 'mix', 'mix', _row('itn', ssim=.6, reidentified=.9),
                            _row('thumbnail', ssim=.5, reidentified=1.)),
        'blur': write_report(tmp_path / 'blur', 'blur', _row('itn', ssim=.92, reidentified=1.)),
        'mix+shuffle': write_report(
            tmp_path / 'ms', 'mix+shuffle', _row('vit', ssim=.28, reidentified=.3, neighbors=.1),
            _row('jigsaw', ssim=.1, reidentified=.1, neighbors=.25)),
        'pixelate': write_report(tmp_path / 'pixelate', 'pixelate',
                                 _row('itn', ssim=.7, reidentified=1.)),
    }


MAPS = {'mix': .54, 'blur': .545, 'mix+shuffle': .5, 'pixelate': .4}


@pytest.fixture
def points(reports):
    return {name: read_point(name, path, str(MAPS[name])) for name, path in reports.items()}


def test_the_best_attacker_counts_in_each_measure(points):
    success = points['mix+shuffle'].success
    assert success['ssim_gained'].value == pytest.approx((.28 - .2) / .8)
    assert (success['ssim_gained'].attacker, success['neighbors'].attacker) == ('vit', 'jigsaw')
    assert success['neighbors'].value == .25
    assert points['mix'].success['reidentified'].attacker == 'thumbnail'
    assert points['mix'].success['neighbors'].value == 1, 'its patches lie in order'
    assert [point.baseline for point in points.values()] == [False, True, False, True]


def test_less_than_the_floor_is_nothing_gained(tmp_path):
    folder = write_report(tmp_path / 'x', 'mix', _row('bad', ssim=.1, reidentified=0.))
    assert read_point('x', folder, '0.5').success['ssim_gained'].value == 0


def test_doing_nothing_counts_where_attackers_got_less(tmp_path):
    """But an order that nobody looked for stays unscored."""
    folder = write_report(tmp_path / 'x', 'mix+shuffle', _row('gan', ssim=.3, reidentified=.2),
                          as_it_is=_row('sealed, as it is', ssim=.4, reidentified=.1,
                                        neighbors=.02))
    success = read_point('x', folder, '0.5').success
    assert success['ssim_gained'].attacker == 'sealed, as it is'
    assert success['ssim_gained'].value == pytest.approx(.25)
    assert success['reidentified'].attacker == 'gan'
    assert 'neighbors' not in success


@pytest.fixture
def detected(tmp_path):
    """Two points with AP of one detector, or another one of the second."""
    def make(name: str, ap: float, original: float = .6, sha256: str = 'a'):
        folder = write_report(tmp_path / name, 'mix', _row('fr', ssim=.6, reidentified=1., ap=ap),
                              _row('gan', ssim=.3, reidentified=1., ap=ap / 2),
                              ceiling=_row('ceiling', ap=original), detector=dict(sha256=sha256))
        return read_point(name, folder, '0.5')
    return make


def test_share_of_the_detectors_ap(detected, tmp_path):
    one, other = detected('one', .3), detected('other', .7)
    assert one.success['ap_kept'].value == pytest.approx(.5)
    assert one.success['ap_kept'].attacker == 'fr'
    assert other.success['ap_kept'].value == 1, 'a share, though chance may give more'
    assert dominates(one, other)
    write_csv(tmp_path / 'plane.csv', [one, other])
    assert 'ap_kept,ap_kept_attacker,ap_kept_front' in (tmp_path / 'plane.csv').read_text()
    write_plot(tmp_path / 'plane.png', [one, other])
    assert cv2.imread(str(tmp_path / 'plane.png')).shape[1] > 3000
    assert len(sentences([one, other])) == 1


def test_ap_that_cannot_be_compared(detected, points):
    blind = detected('blind', .01, original=.02)
    assert 'ap_kept' not in blind.success, 'it finds nothing on the originals'
    said = ' '.join(sentences([detected('one', .3), detected('two', .3, sha256='b')]))
    assert 'Not all AP is of the same detector' in said
    said = ' '.join(sentences([detected('three', .3), points['mix']]))
    assert 'mix: no AP of a detector' in said


def test_no_column_of_ap_without_any(tmp_path, points):
    write_csv(tmp_path / 'plane.csv', list(points.values()))
    assert 'ap_kept' not in (tmp_path / 'plane.csv').read_text()


def test_fronts(points):
    """Blur is on the front of SSIM by its mAP alone; pixelation never is."""
    names = [point.name for point in front(list(points.values()), 'ssim_gained')]
    assert names == ['mix+shuffle', 'mix', 'blur']
    names = [point.name for point in front(list(points.values()), 'reidentified')]
    assert names == ['mix+shuffle', 'blur']


@pytest.mark.parametrize(('one', 'other', 'tolerance', 'expected'), [
    ('mix', 'blur', .01, True),  # 0.005 less mAP is equal
    ('mix', 'blur', .001, False),
    ('mix', 'pixelate', .01, True),
    ('blur', 'mix', .01, False),
    ('mix+shuffle', 'pixelate', .01, True),
    ('mix+shuffle', 'mix', .01, False),  # hides more, detects less
    ('mix+shuffle', 'mix', .05, True),
    ('mix', 'mix', .01, False),
    ('pixelate', 'blur', .01, False),
])
def test_dominance(points, one, other, tolerance, expected):
    assert dominates(points[one], points[other], tolerance) == expected


def test_sentences(points):
    said = sentences(list(points.values()))
    assert len(said) == 1
    assert 'mix dominates blur, pixelate; mix+shuffle dominates pixelate:' in said[0]
    assert 'within 0.01' in said[0]
    few = sentences([points['mix'], points['mix+shuffle']])
    assert 'no scheme dominates another' in few[0]


def test_doubts_are_said(tmp_path, reports):
    unscored = write_report(tmp_path / 'u', 'mix+shuffle', _row('vit', ssim=.3, reidentified=.3),
                            _row('itn', 'failed'))
    data = json.loads((unscored / 'report.json').read_text())
    (unscored / 'report.json').write_text(json.dumps({**data, 'victims': ['z']}))
    points = [read_point('u', unscored, '0.5'), read_point('mix', reports['mix'], '0.5')]
    said = ' '.join(sentences(points))
    assert 'u: itn failed' in said
    assert 'u: the order of the patches was not scored' in said
    assert 'Not all schemes were attacked on the same images' in said
    assert 'u dominates mix' in said, 'in the measures that both have'


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(('text', 'parts'), [
    ('mix=reports/mix:0.5', ('mix', Path('reports/mix'), '0.5')),
    ('mix P16=a:b/report.json:work_dirs/x', ('mix P16', Path('a:b/report.json'), 'work_dirs/x')),
])
def test_points_on_the_command_line(text, parts):
    assert parse_point(text) == parts


@pytest.mark.parametrize('text', ['mix', 'mix=reports', '=a:0.5', 'mix=:0.5', 'mix=a:'])
def test_points_that_are_none(text):
    with pytest.raises(ValueError, match='NAME=REPORT:MAP'):
        parse_point(text)


LINES = '{"loss": 1.0}\n{"coco/bbox_mAP": 0.1, "step": 5}\n{"coco/bbox_mAP": 0.527, "step": 20}\n'
LOG = ('Epoch(val) [15][72/72]    coco/bbox_mAP: 0.3000  coco/bbox_mAP_50: 0.9\n'
       'Epoch(val) [20][72/72]    coco/bbox_mAP: 0.5450  coco/bbox_mAP_50: 0.8720\n')


def test_map_of_logs(tmp_path):
    (tmp_path / 'old/20250101_000000/vis_data').mkdir(parents=True)
    (tmp_path / 'old/20250101_000000/vis_data/scalars.json').write_text(LINES)
    (tmp_path / 'run.log').write_text(LOG)
    assert read_map(tmp_path / 'run.log') == .545
    assert read_map(tmp_path / 'old') == .527
    newer = tmp_path / 'old/20250102_000000'
    newer.mkdir()
    (newer / '20250102_000000.json').write_text('{"coco/bbox_mAP": 0.6}')
    assert read_map(tmp_path / 'old') == .6
    (newer / '20250102_000000.json').write_text('{"loss": 1}')  # was stopped before evaluation
    assert read_map(tmp_path / 'old') == .527


@pytest.mark.parametrize(('score', 'message'), [
    ('54.5', 'between 0 and 1'), ('nan', 'between 0 and 1'), ('nowhere', 'neither a number'),
    ('-1', 'between 0 and 1')])
def test_map_that_is_none(reports, score, message):
    with pytest.raises(ValueError, match=message):
        read_point('mix', reports['mix'], score)


def test_folders_without_map(tmp_path):
    (tmp_path / '20250101_000000.log').write_text('nothing')
    with pytest.raises(ValueError, match='no bbox_mAP'):
        read_map(tmp_path)


def test_reports_that_are_none(tmp_path, reports):
    with pytest.raises(ValueError, match=r'no file .*report\.json'):
        read_point('x', tmp_path / 'nowhere/report.json', '0.5')
    (tmp_path / 'other.json').write_text('{"rows": []}')
    (tmp_path / 'torn.json').write_text('{"rows"')
    for name in ('other', 'torn'):
        with pytest.raises(ValueError, match='is no report'):
            read_point('x', tmp_path / f'{name}.json', '0.5')
    nobody = write_report(tmp_path / 'n', 'mix', _row('itn', 'failed'))
    with pytest.raises(ValueError, match=r'no attacker of .* came to an end'):
        read_point('x', nobody, '0.5')


def test_table(tmp_path, reports):
    (tmp_path / 'run.log').write_text(LOG)
    (tmp_path / 'table.csv').write_text(
        'name, report, map\nmixed, mix, run.log\nblurred, blur/report.json, 0.5\n')
    points = read_points([], tmp_path / 'table.csv')
    assert [(point.name, point.map) for point in points] == [('mixed', .545), ('blurred', .5)]
    for text, message in (('name,map\n', 'columns'), ('name,report,map\na,,0.5\n', 'line 2')):
        (tmp_path / 'bad.csv').write_text(text)
        with pytest.raises(ValueError, match=message):
            read_points([], tmp_path / 'bad.csv')
    with pytest.raises(ValueError, match='mixed given more than once'):
        read_points([f'mixed={reports["mix"]}:0.5'], tmp_path / 'table.csv')
    with pytest.raises(ValueError, match='two schemes at least'):
        read_points([f'mixed={reports["mix"]}:0.5'])


# --- writing -------------------------------------------------------------------------------------


def test_csv(tmp_path, points):
    write_csv(tmp_path / 'plane.csv', list(points.values()))
    with (tmp_path / 'plane.csv').open(newline='') as file:
        rows = {row['name']: row for row in csv.DictReader(file)}
    assert rows['mix+shuffle']['neighbors'] == '0.2500'
    assert rows['mix+shuffle']['neighbors_attacker'] == 'jigsaw'
    assert rows['blur']['baseline'] == '1'
    assert {name for name, row in rows.items() if row['ssim_gained_front'] == '1'} == {
        'mix+shuffle', 'mix', 'blur'}


def test_plot(tmp_path, points):
    write_plot(tmp_path / 'plane.png', list(points.values()))
    img = cv2.imread(str(tmp_path / 'plane.png'))
    assert img.shape[0] > 600
    assert img.shape[1] > 2000
    for color in ('#0072B2', '#D55E00'):  # schemes and baselines
        bgr = np.array([int(color[i:i + 2], 16) for i in (5, 3, 1)])
        assert (img == bgr).all(-1).sum() > 500


def test_plot_of_one_place(tmp_path, reports):
    """Equal points and one panel less do not matter."""
    same = [read_point(name, reports['mix'], '0.5') for name in 'ab']
    write_plot(tmp_path / 'plane.png', same)
    assert (tmp_path / 'plane.png').stat().st_size > 10_000
