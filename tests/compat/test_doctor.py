"""The doctor's checks as tables, and the doctor itself where things are missing."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmppvit.compat import installation as doctor

PATH = Path(__file__).resolve().parents[2] / 'tools' / 'doctor.py'


@pytest.mark.parametrize(('version', 'parts'), [
    ('2.13.0+cpu', (2, 13, 0)), ('82.0.1', (82, 0, 1)), ('2.0.0rc4', (2, 0, 0)), (None, ()),
    ('', ())])
def test_parse(version, parts):
    assert doctor.parse(version) == parts


@pytest.mark.parametrize(('check', 'versions', 'level', 'remedy'), [
    ('check_mmcv', {'mmcv-lite': '2.1.0'}, 'ok', ''),
    ('check_mmcv', {'mmcv': '2.1.0'}, 'ok', ''),
    ('check_mmcv', {'mmcv': '2.2.0'}, 'broken', 'pip install mmcv==2.1.0'),
    ('check_mmcv', {'mmcv-lite': '2.2.0'}, 'broken', 'pip install mmcv-lite==2.1.0'),
    ('check_mmcv', {'mmcv': '1.7.1'}, 'broken', 'pip install mmcv==2.1.0'),
    ('check_mmcv', {'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, 'broken', 'uninstall mmcv mmcv-lite'),
    ('check_mmcv', {}, 'broken', 'pip install mmcv-lite==2.1.0'),
    ('check_setuptools', {'setuptools': '81.0.0'}, 'ok', ''),
    ('check_setuptools', {'setuptools': '82.0.0'}, 'broken', 'setuptools<82'),
    ('check_setuptools', {}, 'broken', 'setuptools<82'),
    ('check_numpy', {'numpy': '2.4.6', 'torch': '2.13.0'}, 'ok', ''),
    ('check_numpy', {'numpy': '2.0.0', 'torch': '2.2.2'}, 'broken', 'numpy<2'),
    ('check_numpy', {'numpy': '2.0.0'}, 'ok', ''),
    ('check_torch', {'torch': '2.4.0'}, 'ok', ''),
    ('check_torch', {'torch': '1.13.1'}, 'broken', 'torch>=2.4'),
    ('check_required', dict.fromkeys(doctor.REQUIRED, '1.0'), 'ok', ''),
    ('check_required', {'torch': '2.13.0'}, 'broken', 'requirements.txt'),
])
def test_version_checks(check, versions, level, remedy):
    finding = getattr(doctor, check)(versions)
    assert finding.level == level
    assert remedy in finding.remedy


BOTH = {'torch': '2.13.0+cpu', 'torchvision': '0.28.0', 'mmcv-lite': '2.1.0'}


@pytest.mark.parametrize(('finding', 'level', 'text'), [
    (doctor.check_torchvision(BOTH, True), 'ok', ''),
    (doctor.check_torchvision(BOTH, False), 'note', 'does not load into torch 2.13.0+cpu'),
    (doctor.check_torchvision({}, False), 'ok', ''),
    (doctor.check_operators(BOTH, None, False), 'note', 'no compiled operators'),
    (doctor.check_operators(BOTH, None, True), 'ok', ''),
    (doctor.check_operators({}, None, False), 'ok', ''),
    (doctor.check_operators(BOTH, 'undefined symbol', True), 'broken', 'undefined symbol'),
    (doctor.check_import('timm', None), 'ok', ''),
    (doctor.check_import('timm', 'ValueError: x'), 'broken', 'timm cannot be imported: ValueError'),
])
def test_other_checks(finding, level, text):
    assert finding.level == level
    assert text in finding.what


def test_a_missing_libgl_asks_for_headless_opencv():
    finding = doctor.check_import('cv2', 'ImportError: libGL.so.1: cannot open shared object file')
    assert 'opencv-python-headless' in finding.remedy


def run(*options):
    return subprocess.run([sys.executable, *options], capture_output=True, text=True)


def test_the_report_is_json():
    result = run(str(PATH), '--json')
    report = json.loads(result.stdout)
    broken = any(finding['level'] == 'broken' for finding in report['findings'])
    assert result.returncode == int(broken)
    assert set(report['operators']) == {'nms', 'roi_align', 'focal_loss', 'ms_deform_attn'}
    assert set(report['operators'].values()) <= {'compiled mmcv', 'torchvision', 'plain PyTorch'}


def test_it_runs_with_nothing_installed():
    # -S and -I keep site-packages away.
    result = run('-I', '-S', str(PATH))
    assert result.returncode == 1
    assert 'neither mmcv nor mmcv-lite is installed' in result.stdout
    assert 'pip install -r requirements.txt' in result.stdout
