"""``tools/{attack,compare_schemes}.py`` as a user runs them."""
from __future__ import annotations

import json
import shutil

import pytest
from mmengine.config import Config

from mmppvit.attacks.attackers import catalogue
from mmppvit.encryption import Key
from tests.attacks.failing import Raises
from tests.tools.conftest import shrink


@pytest.fixture
def arguments(sealed_shapes):
    """Of ``attack.py``: three victims, three images to learn from, attackers that are quick."""

    def make(scheme: str, out, *more: object) -> list:
        return ['--sealed', sealed_shapes.folder(scheme), '--plain', sealed_shapes.plain
                / 'train2017', '--out', out, '--budget', .05, *more]

    return make


QUICK = ['--attacks', 'jigsaw-mgc,thumbnail,known-plaintext']


def _timeless(path) -> dict:
    report = json.loads(path.read_text())
    for row in report['rows']:
        row.pop('seconds')
    report['how'].pop('date')
    report.pop('handout')  # it names both
    return report


def test_the_same_twice_and_again(tool, arguments, sealed_shapes, tmp_path):
    """Two folders get one report; a second run keeps what is there."""
    key = ['--key-file', sealed_shapes.key_file]
    for folder in 'ab':
        code, stdout, stderr = tool('attack.py', *arguments('mix+shuffle', tmp_path / folder,
                                                            *QUICK, *key))
        assert code == 0, stderr
        assert 'jigsaw-mgc' in stdout
        assert 'neighbors right' in stdout
        assert 'Of 3 images' in stdout
        assert '1/3 jigsaw-mgc: done after' in stderr
        assert '2/3 thumbnail: not for this scheme' in stderr
        assert (tmp_path / folder / 'report.html').stat().st_size > 5000
    first = _timeless(tmp_path / 'a/report.json')
    assert first == _timeless(tmp_path / 'b/report.json')
    assert [row['status'] for row in first['rows']] == ['done', 'not for this scheme', 'done']
    assert first['sealed'] == 'train2017'

    code, _, stderr = tool('attack.py', *arguments('mix+shuffle', tmp_path / 'a', *QUICK, *key))
    assert code == 0
    assert stderr.count('kept from before') == 2
    assert 'done after' not in stderr
    assert _timeless(tmp_path / 'a/report.json') == first


def test_one_fails_and_the_others_are_reported(tool, arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(catalogue.ATTACKERS, 'raises', 'tests.attacks.failing:Raises')
    code, stdout, stderr = tool('attack.py', *arguments(
        'mix', tmp_path / 'out', '--attacks', 'raises,thumbnail'))
    assert code == 1
    assert 'raises (failed)' in stdout
    assert 'Not counted, because they failed: raises' in stdout
    assert '1/2 raises: failed after' in stderr
    rows = json.loads((tmp_path / 'out/report.json').read_text())['rows']
    assert [(row['name'], row['status']) for row in rows] == [
        (Raises.name, 'failed'), ('thumbnail', 'done')]
    page = (tmp_path / 'out/report.html').read_text()
    assert 'KeyError: &#39;&lt;nothing&gt; &amp; &#34;such&#34;&#39;' in page


@pytest.fixture
def faults(sealed_shapes, tmp_path):
    """What is at fault -> (arguments, what is said)."""
    Key.create(tmp_path / 'other.key')
    edited = shutil.copytree(sealed_shapes.folder('mix'), tmp_path / 'edited')
    text = (edited / 'manifest.json').read_text()
    (edited / 'manifest.json').write_text(text.replace('"grid": 2', '"grid": 4'))
    shuffled = sealed_shapes.folder('mix+shuffle')
    return {
        'name': (['--attacks', 'nobody'], 'no attacker nobody: choose from thumbnail'),
        'sealed': (['--sealed', tmp_path / 'nowhere'], 'sealing makes it'),
        'plain': (['--plain', tmp_path], '--plain must name the folder'),
        'edited': (['--sealed', edited], 'edited or damaged'),
        'key': (['--sealed', shuffled, '--key-file', tmp_path / 'other.key'],
                'name the key file it was sealed with'),
        'no key': (['--key-file', tmp_path / 'none.key'], 'none.key'),
        'victims': (['--num-victims', 1], 'num victims must be at least 2'),
        'budget': (['--budget', -1], 'budget must be at least 0'),
        'scale': (['--scale', 1], '0 images of scale 1'),
        'no GPU': (['--device', 'cuda:99'], 'device cuda:99: '),
        'device': (['--device', 'gpu'], "device must be cpu, cuda, or cuda:1 and so on, got 'gpu'"),
        'GPU memory': (['--device', 'cuda', '--memory', 4], 'leave --memory out'),
    }


@pytest.mark.parametrize('fault', ['name', 'sealed', 'plain', 'edited', 'key', 'no key', 'victims',
                                   'budget', 'scale', 'no GPU', 'device', 'GPU memory'])
def test_one_error(tool, arguments, faults, tmp_path, fault):
    """In one line, before anything is attacked, and what was there stays."""
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/report.json').write_text('from before')
    more, said = faults[fault]
    code, stdout, stderr = tool('attack.py', *arguments('mix', tmp_path / 'out', *QUICK, *more))
    assert code == 2
    assert not stdout
    assert stderr.startswith('error: ')
    assert stderr.count('\n') == 1
    assert said in stderr
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['report.json']
    assert (tmp_path / 'out/report.json').read_text() == 'from before'


@pytest.fixture
def detector(configs, sealed_shapes, tmp_path, run_tool):
    """Config and checkpoint of a detector of plain images, as training writes them."""
    classes = sealed_shapes.classes
    config = shrink(configs / 'coco/atss_pevit-tiny_mix_coco.py', tmp_path, sealed_shapes.plain,
                    custom_classes=list(classes), model__backbone__grid=1,
                    train_cfg__val_interval=9)
    cfg = Config.fromfile(str(config))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline = [step for step in loader.dataset.pipeline
                                   if step['type'] != 'MixSubPatches']
    cfg.model.bbox_head.anchor_generator.strides = [8, 16, 32, 64, 128]
    cfg.model.data_preprocessor.pad_size_divisor = 16
    cfg.dump(str(config))
    run_tool('train.py', config, '--work-dir', tmp_path / 'work')
    return config, tmp_path / 'work/epoch_1.pth'


def test_a_detector_looks_at_what_was_reconstructed(tool, arguments, sealed_shapes, detector,
                                                      tmp_path):
    config, checkpoint = detector
    ann = sealed_shapes.plain / 'annotations/instances_train2017.json'
    options = ['--attacks', 'thumbnail', '--detector', config, '--checkpoint', checkpoint]
    code, stdout, stderr = tool('attack.py', *arguments(
        'mix', tmp_path / 'out', *options, '--ann', ann))
    assert code == 0, stderr
    assert 'detector AP' in stdout
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert report['detector']['checkpoint'] == 'epoch_1.pth'
    for row in (report['floor'], report['as_it_is'], report['ceiling'], *report['rows']):
        assert 0 <= row['metrics']['ap']['low'] <= row['metrics']['ap']['high'] <= 1
    assert any('originals' in text for text in report['verdict'])

    others = sealed_shapes.plain / 'annotations/instances_val2017.json'
    code, _, stderr = tool('attack.py', *arguments(
        'mix', tmp_path / 'none', *options, '--ann', others))
    assert code == 2
    assert 'of 3 images are not in the json, e.g.' in stderr
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize(('given', 'said'), [
    (['--detector', 'c.py'], '--checkpoint and --ann missing'),
    (['--detector', 'c.py', '--ann', 'a.json'], '--checkpoint missing'),
    (['--detector', 'none.py', '--checkpoint', 'w.pth', '--ann', 'a.json'], 'no config none.py'),
])
def test_a_detector_in_part(tool, arguments, tmp_path, given, said):
    code, stdout, stderr = tool('attack.py', *arguments('mix', tmp_path / 'out', *QUICK, *given))
    assert code == 2
    assert not stdout
    assert stderr.startswith(f'error: {said}')
    assert stderr.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_compare(tool, arguments, sealed_shapes, tmp_path):
    """From sealed images to the plane."""
    for scheme in ('mix', 'mix+shuffle'):
        code, _, stderr = tool('attack.py', *arguments(
            scheme, tmp_path / scheme, *QUICK, '--key-file', sealed_shapes.key_file))
        assert code == 0, stderr
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/20250101_000000.log').write_text('  coco/bbox_mAP: 0.5350  ')
    code, stdout, stderr = tool(
        'compare_schemes.py', f'mix [16]={tmp_path / "mix"}:0.54',
        f'both={tmp_path / "mix+shuffle" / "report.json"}:{tmp_path / "run"}',
        '--out', tmp_path / 'plane')
    assert code == 0, stderr
    assert 'mix [16]' in stdout
    assert '0.535' in stdout
    assert 'At equal or better mAP (within 0.01), both dominates mix [16]' in stdout
    assert {path.name for path in (tmp_path / 'plane').iterdir()} == {'plane.csv', 'plane.png'}
    assert (tmp_path / 'plane/plane.png').stat().st_size > 20_000


def test_compare_says_what_is_wrong(tool, tmp_path):
    for given, said in ((['a'], 'NAME=REPORT:MAP'), ([], 'two schemes at least'),
                        ([f'a={tmp_path}:0.5', f'b={tmp_path}:0.5'], 'tools/attack.py writes it'),
                        (['--csv', tmp_path / 'none.csv'], 'none.csv')):
        code, stdout, stderr = tool('compare_schemes.py', *given, '--out', tmp_path / 'plane')
        assert code == 2
        assert not stdout
        assert stderr.startswith('error: ')
        assert said in stderr
    assert not (tmp_path / 'plane').exists()
