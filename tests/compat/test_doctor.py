"""The doctor's checks as tables, and the doctor itself where things are missing."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmppvit.compat import installation as doctor

PATH = Path(__file__).resolve().parents[2] / 'tools' / 'doctor.py'


@pytest.mark.parametrize(('check', 'versions', 'level', 'remedy'), [
    ('check_mmcv', {'mmcv-lite': '2.1.0'}, 'ok', ''),
    ('check_mmcv', {'mmcv': '2.1.0'}, 'ok', ''),
    ('check_mmcv', {'mmcv': '2.2.0'}, 'broken', 'pip install mmcv==2.1.0'),
    ('check_mmcv', {'mmcv-lite': '2.2.0'}, 'broken', 'pip install mmcv-lite==2.1.0'),
    ('check_mmcv', {'mmcv': '1.7.1'}, 'broken', 'pip install mmcv==2.1.0'),
    ('check_mmcv', {'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, 'broken', 'uninstall mmcv mmcv-lite'),
    ('check_mmcv', {'mmdet': '3.3.0'}, 'broken', 'pip install mmcv-lite==2.1.0'),
    ('check_mmcv', {}, 'ok', ''),
    ('check_setuptools', {'mmengine': '0.10.7', 'setuptools': '81.0.0'}, 'ok', ''),
    ('check_setuptools', {'mmengine': '0.10.7', 'setuptools': '82.0.0'}, 'note', 'setuptools<82'),
    ('check_setuptools', {'mmengine': '0.10.7'}, 'note', 'setuptools<82'),
    ('check_setuptools', {}, 'ok', ''),
    ('check_opencv', {'opencv-python': '5.0.0'}, 'ok', ''),
    ('check_opencv', {'opencv-python': '5.0.0', 'opencv-python-headless': '5.0.0'}, 'ok', ''),
    ('check_opencv', {'opencv-python': '4.8.1', 'opencv-python-headless': '5.0.0'}, 'broken',
     'opencv-python==5.0.0 opencv-python-headless==5.0.0'),
    ('check_opencv', {}, 'broken', 'pip install opencv-python-headless'),
    ('check_numpy', {'numpy': '2.4.6', 'torch': '2.13.0'}, 'ok', ''),
    ('check_numpy', {'numpy': '2.0.0', 'torch': '2.2.2'}, 'broken', 'numpy<2'),
    ('check_numpy', {'numpy': '2.0.0'}, 'ok', ''),
    ('check_oldest', {'torch': '2.6.0'}, 'ok', ''),
    ('check_oldest', {'torch': '2.5.1', 'timm': '0.9.2'}, 'broken', '"torch>=2.6" "timm>=1.0.16"'),
    ('check_required', dict.fromkeys(doctor.OWNERS + doctor.TRAINERS, '1.0'), 'ok', ''),
    ('check_required', dict.fromkeys(doctor.OWNERS, '1.0'), 'note', 'mmppvit[mmdet,lite]'),
    ('check_required', {**dict.fromkeys(doctor.OWNERS, '1.0'), 'torch': '2.13.0'}, 'broken',
     'mmppvit[mmdet]'),
    ('check_required', {'torch': '2.13.0'}, 'broken', 'pip install numpy cryptography pillow'),
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


@pytest.mark.parametrize('name', ['no_such_package', 'no_such_package.models'])
def test_a_package_that_is_not_installed_is_not_called_broken(name):
    assert doctor.import_error(name) is None


def test_the_report_is_json(run_python):
    result = run_python(PATH, '--json')
    report = json.loads(result.stdout)
    broken = any(finding['level'] == 'broken' for finding in report['findings'])
    assert result.returncode == int(broken)
    assert set(report['operators']) == {'nms', 'roi_align', 'focal_loss', 'ms_deform_attn'}
    assert set(report['operators'].values()) <= {'compiled mmcv', 'torchvision', 'plain PyTorch'}


def test_it_runs_with_nothing_installed():
    # -S and -I keep site-packages away.
    result = subprocess.run([sys.executable, '-I', '-S', PATH], capture_output=True, text=True)
    assert result.returncode == 1
    assert 'no OpenCV is installed' in result.stdout
    assert 'pip install numpy cryptography pillow' in result.stdout
