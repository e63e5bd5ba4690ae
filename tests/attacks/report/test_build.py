"""``mmppvit.attacks.report``: figures, verdict and page of real runs on small images."""
from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mmppvit.attacks.judges.judge_list import Judge
from mmppvit.attacks.report import ImageRow, build_report, crop_groups, image_rows, write_page
from mmppvit.attacks.report.build import ways_of_use
from mmppvit.encryption import make_scheme
from tests.attacks.failing import Honest
from tests.attacks.report.cases import Corners, result_of

ROOT = Path(__file__).resolve().parents[3]
UGLY = """<b>"it's" & co</b>.png"""


@pytest.fixture(scope='module')
def made(sealed):
    """AttackData and report of one attacker, of others that failed, and of names to be escaped."""
    return _report(sealed, 'mix+shuffle', key_file=str(sealed.key_file))


def _report(sealed, scheme: str, **options):
    settings = sealed.settings(scheme, **options)
    data = settings.load()
    data.victims[0] = replace(data.victims[0], name=UGLY)
    data.skipped.append((UGLY, 'it is <broken>'))
    honest = Honest(data.scheme)
    reconstructed = {'honest': [honest.reconstruct(victim.encrypted) for victim in data.victims]}
    report = build_report(settings, data, [
        result_of('honest'), result_of('bad', 'failed', 'KeyError: "<x>"'),
        result_of('late', 'out of time', 'stopped after 9 s'),
        result_of('other', 'not for this scheme', 'patches are <em>somehow</em>')], reconstructed)
    return data, report, reconstructed


@pytest.fixture(scope='module')
def page(made, tmp_path_factory) -> Path:
    data, report, reconstructed = made
    path = tmp_path_factory.mktemp('page') / 'report.html'
    write_page(path, report, image_rows(data, report, reconstructed))
    return path


def test_the_gpu_is_named(sealed, monkeypatch, tmp_path):
    monkeypatch.setattr('torch.cuda.get_device_name', lambda device: f'<GPU> of {device}')
    data, report, reconstructed = _report(sealed, 'mix', device='cuda:1')
    assert report['how']['time'].startswith('1 s of learning on <GPU> of cuda:1 for each attacker')
    write_page(tmp_path / 'report.html', report, image_rows(data, report, reconstructed))
    assert 'learning on &lt;GPU&gt; of cuda:1 for' in (tmp_path / 'report.html').read_text()


def test_one_attacker_is_no_attackers(made, page):
    assert ' by 1 attacker for ' in made[1]['handout']
    assert 'were attacked by 1 attacker. ' in page.read_text()


# --- report.json ---------------------------------------------------------------------------------


def test_bounds(made):
    """Of everything that is scored, orders included."""
    report = made[1]
    keys = [column['key'] for column in report['columns']]
    assert keys == ['ssim', 'psnr', 'reidentified', 'neighbors', 'component', 'placed']
    for key in keys:
        low, high = (report[bound]['metrics'][key]['mean'] for bound in ('floor', 'ceiling'))
        assert high == (100 if key == 'psnr' else 1)
        assert low < high
    assert report['floor']['metrics']['neighbors']['mean'] < .3


class HalfWhereNotBlack(Judge):
    """AP of one half where images are not black."""
    title = 'detector AP'

    @classmethod
    def from_files(cls, settings, data, files) -> HalfWhereNotBlack:
        return cls()

    def __call__(self, imgs) -> dict[str, float]:
        mean = .5 * float(np.mean([img.any() for img in imgs]))
        return dict(mean=mean, low=0., high=1., ap50=mean, count=len(imgs))


class Dark(Honest):
    """An attacker that does not work."""
    name = 'dark'

    def reconstruct(self, encrypted):
        reconstruction = super().reconstruct(encrypted)
        return replace(reconstruction, img=np.zeros_like(reconstruction.img))


@pytest.fixture(scope='module')
def detected(sealed):
    """Of a detector that sees one attacker that works and one that does not."""
    settings = sealed.settings('mix')
    data = settings.load()
    reconstructed = {kind.name: [kind(data.scheme).reconstruct(victim.encrypted)
                             for victim in data.victims] for kind in (Honest, Dark)}
    files = dict(config='c.py', checkpoint='w.pth', sha256='0123456789abcdef', annotations='a.json')
    report = build_report(settings, data, [result_of('honest'), result_of('dark')], reconstructed,
                          dict(ap=HalfWhereNotBlack()), files)
    return data, report, reconstructed


def test_the_sealed_image_as_it_is(made):
    """It has its own row, scored as reconstructions are; no order but that of the file."""
    untouched = made[1]['as_it_is']
    assert untouched['name'] == 'sealed, as it is'
    assert set(untouched['metrics']) == set(made[1]['floor']['metrics'])
    assert untouched['metrics']['placed']['mean'] < .5
    assert untouched['metrics']['reidentified']['matcher']


def test_attackers_below_it_are_marked(detected, tmp_path):
    data, report, reconstructed = detected
    honest, dark = report['rows']
    assert {'ssim', 'psnr', 'ap'} <= set(dark['below_as_it_is'])
    assert 'ap' not in honest['below_as_it_is']
    assert any('Clearly worse than doing nothing' in text and 'dark' in text
               for text in report['verdict'])
    write_page(tmp_path / 'r.html', report, image_rows(data, report, reconstructed))
    page = _Page((tmp_path / 'r.html').read_text())
    marks = [attrs for _, attrs in page.tags if attrs.get('class') == 'less']
    assert len(marks) == sum(len(row['below_as_it_is']) for row in report['rows'])


def test_a_detector(detected, tmp_path):
    """AP in every row, without a worst image; its share of the originals' AP is on the page."""
    data, report, reconstructed = detected
    assert report['columns'][0]['key'] == 'ap'
    rows = [report['floor'], report['as_it_is'], *report['rows'], report['ceiling']]
    assert all('worst' not in row['metrics']['ap'] for row in rows)
    assert report['rows'][1]['metrics']['ap']['mean'] == 0
    assert report['detector']['sha256'] == '0123456789abcdef'
    assert 'w.pth (SHA-256 0123456789ab), boxes of a.json' in report['how']['detector']
    assert any('A detector of plain images finds' in text for text in report['verdict'])
    write_page(tmp_path / 'r.html', report, image_rows(data, report, reconstructed))
    text = (tmp_path / 'r.html').read_text()
    assert 'Detector AP (average precision, 0 to 1) is how well' in text
    assert text.count('of the originals&#39;') + text.count("of the originals'</small>") == 5
    json.dumps(report, allow_nan=False)


def test_doing_nothing_is_marked_where_it_is_best(detected, tmp_path):
    data, report, reconstructed = detected
    report = {**report, 'rows': report['rows'][1:]}
    write_page(tmp_path / 'r.html', report, image_rows(data, report, reconstructed))
    row = (tmp_path / 'r.html').read_text().split('<strong>sealed, as it is')[1].split('</tr>')[0]
    assert row.count('class="most"') == 4


def test_no_detector_no_word_of_it(made, page):
    assert made[1]['detector'] is None
    assert 'detector' not in made[1]['how']
    assert 'etector AP' not in page.read_text()


def test_it_is_json(made):
    report = json.loads(json.dumps(made[1], allow_nan=False))
    assert report['num_victims'] == 3
    assert report['num_pairs'] == 5
    assert report['victims'][0] == UGLY
    assert str(ROOT) not in json.dumps(report)


def test_what_was_not_tested(made):
    said = ' '.join(made[1]['not_tested'])
    assert 'bad: failed, KeyError' in said
    assert 'late: out of time, stopped after 9 s' in said
    assert 'other: not for this scheme, patches' in said
    assert 'not asked for: thumbnail, poisson' in said
    assert 'Theft of the key' in said


@pytest.mark.parametrize('scheme', ['mix', 'blur', 'noise', 'pixelate', 'downsample+shuffle'])
def test_other_schemes_and_no_key(sealed, scheme, tmp_path):
    data, report, reconstructed = _report(sealed, scheme)
    assert report['scheme']['name'] == scheme
    assert [column['key'] for column in report['columns']] == ['ssim', 'psnr', 'reidentified']
    shuffled = 'shuffle' in scheme
    assert any('was not scored' in text for text in report['verdict']) == shuffled
    assert any('lie in their order' in text for text in report['verdict']) != shuffled
    write_page(tmp_path / 'report.html', report, image_rows(data, report, reconstructed))


@pytest.mark.parametrize(('name', 'options', 'text'), [
    ('mix', {}, 'mix, patches of 16 pixels, grid 2'),
    ('blur', dict(grid=1, strength=2.5), 'blur, patches of 16 pixels, strength 2.5'),
    ('mix+center+shuffle', dict(center_strength=1., normalize=True, erode=1, drop=.1),
     'mix+center+shuffle, patches of 16 pixels, grid 2, center strength 1, normalize, erode 1, '
     'drop 0.1'),
])
def test_describe(name, options, text):
    assert make_scheme(name, **options).describe() == text


def test_ways_of_use():
    assert len(ways_of_use(make_scheme('mix+shuffle'))) == 2
    assert len(ways_of_use(make_scheme('mix'))) == 1


def test_nobody_came_to_an_end(sealed, tmp_path):
    settings = sealed.settings('mix')
    data = settings.load()
    report = build_report(settings, data, [result_of('bad', 'failed', 'x')], {})
    assert report['verdict'] == [
        'No attacker came to an end: this report says nothing about these images.']
    rows = image_rows(data, report, {})
    write_page(tmp_path / 'report.html', report, rows)
    assert [len(row.images) for row in rows] == [2, 2, 2]


def test_images(made):
    """The worst case first, in all its forms, at the size of the plain one."""
    data, report, reconstructed = made
    rows = image_rows(data, report, reconstructed, count=2)
    ssim = report['rows'][0]['metrics']['ssim']
    assert len(rows) == 2
    assert rows[0].name == data.victims[ssim['worst_index']].name
    assert rows[0].note == f'worst case: what "honest" reconstructed best, SSIM {ssim["worst"]:.2f}'
    assert not rows[1].note
    assert [caption.split(',')[0] for caption, _ in rows[0].images] == [
        'plain', 'sealed', 'reconstructed by honest']
    assert {img.shape for _, img in rows[0].images} == {(48, 64, 3)}  # fitted into whole patches


# --- the page ------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Checks that tags are balanced; keeps attributes and text."""
    VOID = {'meta', 'link', 'br', 'img'}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.text, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope='module')
def parsed(page) -> _Page:
    return _Page(page.read_text())


def test_tags_are_balanced_and_ids_unique(parsed):
    ids = [attrs['id'] for _, attrs in parsed.tags if 'id' in attrs]
    assert len(set(ids)) == len(ids)
    for _, attrs in parsed.tags:
        assert attrs.get('aria-labelledby', ids[0]) in ids
    assert {'b', 'i', 'em', 'x', 'broken'}.isdisjoint(tag for tag, _ in parsed.tags)


def test_nothing_from_outside(page, parsed):
    for word in ('http:', 'https:', 'url(', '@import', '<script'):
        assert word not in page.read_text()
    for tag, attrs in parsed.tags:
        for name in ('src', 'href', 'srcset', 'data', 'action'):
            if name in attrs:
                assert attrs[name].startswith(('data:', '#')), (tag, attrs[name][:40])


def test_images_have_names(parsed):
    images = [attrs for tag, attrs in parsed.tags if tag == 'img']
    assert len(images) == 3 * 3
    assert all(attrs['alt'].strip() for attrs in images)
    assert len({attrs['alt'] for attrs in images}) == len(images)


def test_names_are_escaped(page, parsed):
    assert UGLY not in page.read_text()
    text = ' '.join(parsed.text)
    for said in (UGLY, 'it is <broken>', 'KeyError: "<x>"', 'patches are <em>somehow</em>',
                 'honest <i>title</i>'):
        assert said in text
    assert any(attrs.get('alt') == f'{UGLY}: plain' for _, attrs in parsed.tags)


def test_one_attacker_is_marked_in_each_column(parsed, made):
    marked = [attrs['data-label'] for tag, attrs in parsed.tags if attrs.get('class') == 'most']
    assert marked == [column['title'] for column in made[1]['columns']]


def test_names_of_files_that_are_not_unicode(made, tmp_path):
    img = np.zeros((8, 400, 3), np.uint8)
    write_page(tmp_path / 'r.html', made[1], [ImageRow('a\udcff', [('plain', img)])])
    assert r'a\udcff' in (tmp_path / 'r.html').read_text()


@pytest.mark.parametrize('which', ['made', 'detected', 'with_faces'])
def test_the_json_is_as_its_schema_has_it(which, request):
    """Of another kind of report each; the schema refuses what it does not describe."""
    schema = json.loads(resources.files('mmppvit.attacks.report').joinpath(
        'report.schema.json').read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads(json.dumps(request.getfixturevalue(which)[1]))
    jsonschema.validate(report, schema)
    for broken in ({**report, 'schema': 0}, {**report, 'rows': [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


@pytest.fixture(scope='module')
def with_faces(sealed):
    settings = sealed.settings('mix')
    data = settings.load()
    reconstructed = {kind.name: [kind(data.scheme).reconstruct(victim.encrypted)
                             for victim in data.victims] for kind in (Honest, Dark)}
    judges = dict(faces=Corners.from_files(settings, data, None))
    report = build_report(settings, data, [result_of('honest'), result_of('dark')], reconstructed,
                          judges)
    return data, report, reconstructed, judges


def test_faces_come_first_in_plain_words(with_faces):
    report = with_faces[1]
    assert report['columns'][0]['key'] == 'faces'
    assert report['verdict'][0].startswith('2 of 3 faces found on ')
    assert '2 of 3 faces found on the best reconstruction' in report['handout']
    assert 'anonymous' in report['handout']
    assert ' 2 attackers for ' in report['handout']
    assert [region['victim'] for region in report['judged']['faces']] == [0, 0, 1]


def test_crops_show_worst_cases_first(with_faces, tmp_path):
    data, report, reconstructed, judges = with_faces
    group, = crop_groups(data, report, reconstructed, judges, count=2)
    assert (group.back, group.total, len(group.crops)) == (2, 3, 2)
    assert [crop.caption for crop in group.crops] == ['best attack: honest, 100%'] * 2
    assert group.crops[0].plain.shape == group.crops[0].best.shape == (96, 96, 3)
    every, = crop_groups(data, report, reconstructed, judges)
    assert [crop.name for crop in every.crops] == [data.victims[k].name for k in (0, 1, 0)]
    write_page(tmp_path / 'r.html', report, image_rows(data, report, reconstructed), [every])
    page = _Page((tmp_path / 'r.html').read_text())
    alts = [attrs['alt'] for tag, attrs in page.tags if tag == 'img']
    assert len(set(alts)) == len(alts)
    assert 'faces found: 2 of 3 came back by some attack' in ' '.join(page.text)
    cells = [text for text in page.text if text.strip() == '2 of 3']
    assert len(cells) >= 2


def test_no_crops_where_no_attacker_came_to_an_end(with_faces):
    data, report, _, judges = with_faces
    assert crop_groups(data, report, {}, judges) == []


def test_the_template_is_part_of_the_package():
    assert resources.files('mmppvit.attacks.report').joinpath('page.html.j2').is_file()
    text = (ROOT / 'pyproject.toml').read_text()
    assert "'mmppvit.attacks.report' = ['page.html.j2', 'report.schema.json']" in text


FLAGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-sync',
    '--disable-background-networking', '--disable-component-update', '--disable-default-apps',
    '--enable-logging=stderr', '--dump-dom']


LOOK = """<script>
addEventListener("load", () => {
  for (const img of document.images)
    if (!img.complete || !img.naturalWidth) console.error("image not shown");
  document.body.dataset.looked = "yes";
})
</script></body>"""


@pytest.fixture(scope='module')
def console(tmp_path_factory):
    """A function of a page that gives what a browser without network writes on its console."""
    names = ('chromium', 'chromium-browser', 'google-chrome')
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f'none of {", ".join(names)} is installed')
    folder = tmp_path_factory.mktemp('browser')

    def show(text: str) -> list[str]:
        page = folder / 'page.html'
        page.write_text(text.replace('loading="lazy"', '').replace('</body>', LOOK).replace(
            "default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'"))
        done = subprocess.run(
            [browser, *FLAGS, f'--user-data-dir={folder / "profile"}', page.as_uri()],
            capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert 'data-looked="yes"' in done.stdout
        return [line for line in done.stderr.splitlines() if 'CONSOLE' in line]

    return show


def test_a_browser_opens_it_without_a_word(page, console):
    """No error, no request (the page forbids itself any), and every image is shown."""
    assert console(page.read_text()) == []


@pytest.mark.parametrize('broken', ['src="data:image/jpeg;base64,AAAA"',
                                    'src="https://example.invalid/x.png"'])
def test_a_browser_would_tell(page, console, broken):
    text = page.read_text().replace('</main>', f'<img {broken} alt="x"></main>')
    assert any('image not shown' in line for line in console(text))
