"""What the wheel is made of, and what its metadata promises."""
from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import setuptools
import yaml
from mmengine.config import Config

import mmppvit
from mmppvit.compat.versions import OLDEST
from mmppvit.utils.config_files import find_config
from mmppvit.utils.user_errors import EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
LAYERS = ('mmdet', 'lite', 'attacks', 'onnx')


def bounds(requirements: list[str]) -> dict[str, str]:
    """'numpy>=1.24,<3' -> {'numpy': '1.24'}."""
    found = (re.match(r'([\w-]+)>=([\d.]+)', line) for line in requirements)
    return {match[1]: match[2] for match in found if match}


def pins(file: str) -> dict[str, str]:
    return dict(re.findall(r'^([\w-]+)==([\w.]+)', (ROOT / file).read_text(), re.MULTILINE))


def agrees(pin: str, bound: str) -> bool:
    """'2.6.0' is the oldest of '>=2.6'; '4.8.0.74' that of '>=4.8'."""
    return pin == bound or re.fullmatch(re.escape(bound) + r'(\.\d+)+', pin) is not None


def test_owners_need_no_pytorch():
    names = {re.match(r'[\w-]+', line)[0] for line in PROJECT['dependencies']}
    assert names == {'click', 'cryptography', 'numpy', 'opencv-python-headless', 'pillow', 'rich',
                     'simplejpeg'}


@pytest.mark.parametrize('layer', ['dependencies', 'mmdet', 'lite'])
def test_lower_bounds_are_the_oldest_that_are_tested(layer):
    extras = PROJECT['optional-dependencies']
    oldest = pins('tests/oldest.txt')
    required = bounds(PROJECT['dependencies'] if layer == 'dependencies' else extras[layer])
    assert required
    assert not {name: (oldest.get(name), bound) for name, bound in required.items()
                if not agrees(oldest.get(name, ''), bound)}


def test_the_check_at_import_has_the_same_lower_bounds():
    required = bounds(PROJECT['optional-dependencies']['mmdet'])
    assert {name: required[name] for name in OLDEST} == OLDEST


def test_the_pinned_set_has_every_dependency():
    pinned = set(pins('requirements.txt'))
    extras = PROJECT['optional-dependencies']
    required = bounds([*PROJECT['dependencies'], *(r for name in LAYERS for r in extras[name])])
    # SciPy and Matplotlib come with scikit-image and MMEngine.
    assert set(required) - pinned <= {'scipy', 'matplotlib'}


def test_the_extra_named_in_an_error_installs_the_package():
    names = dict(skimage='scikit-image', sklearn='scikit-learn', mmcv='mmcv-lite', grpc='grpcio',
                 dlib='dlib-bin', rapidocr_onnxruntime='rapidocr-onnxruntime',
                 face_recognition_models='face-recognition-models')
    for module, extra in EXTRAS.items():
        layers = [name for key in extra.split(',')
                  for name in bounds(PROJECT['optional-dependencies'][key])]
        assert names.get(module, module) in layers, module


@pytest.fixture(scope='module')
def build_script():
    """setup.py, without running setup."""
    run, setuptools.setup = setuptools.setup, lambda **options: None
    try:
        spec = importlib.util.spec_from_file_location('setup_script', ROOT / 'setup.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        setuptools.setup = run
    return module


def test_the_wheel_carries_every_config_and_tool(build_script):
    command = build_script.BuildWithMim(setuptools.Distribution())
    command.build_lib = 'build'
    sources = set(command.mim_files().values())
    assert sources >= {*ROOT.glob('configs/**/*.py'), *ROOT.glob('tools/*.py'),
                       *ROOT.glob('tools/dist_*.sh'), ROOT / 'model-index.yml'}
    assert Path('build/mmppvit/.mim/tools/train.py') in command.mim_files()


def test_the_description_links_to_nothing_that_is_not_there(build_script):
    text = build_script.description()
    assert len(text) > 1000
    assert '![' not in text
    headings = {re.sub(r'[^\w\- ]', '', line.lstrip('# ')).lower().replace(' ', '-')
                for line in text.splitlines() if line.startswith('#')}
    for target in re.findall(r'\]\(([^)]*)\)', text):
        assert target.startswith('https://') or target.removeprefix('#') in headings, target


def metafiles() -> list[Path]:
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [ROOT / path for path in index['Import']]


def test_the_index_names_every_folder_of_configs():
    assert {path.parent for path in metafiles()} == {
        path.parent for path in (ROOT / 'configs').glob('*/*.py') if path.parent.name != '_base_'}


@pytest.mark.parametrize('path', metafiles(), ids=lambda path: path.parent.name)
def test_metafiles(path):
    """Every model names a config that is there and results that its README states, too."""
    content = yaml.safe_load(path.read_text())
    readme = (path.parent / 'README.md').read_text()
    names = {collection['Name'] for collection in content['Collections']}
    models = content.get('Models') or []
    for model in models:
        assert model['In Collection'] in names
        assert (ROOT / model['Config']).is_file(), model['Config']
        assert (ROOT / model['Config']).stem == model['Name']
        for result in model['Results']:
            for value in result['Metrics'].values():
                assert f'{value:.3f}' in readme, (model['Name'], value)
    for config in path.parent.glob('*.py'):
        assert f']({config.name})' in readme, f'{readme[:40]}: {config.name} is missing'


def test_a_config_is_inherited_by_one_line(tmp_path):
    config = tmp_path / 'child.py'
    config.write_text("_base_ = __import__('mmppvit').config_path('atss_pevit-tiny_mix_bccd')\n")
    cfg = Config.fromfile(str(config))
    assert cfg.model == Config.fromfile(str(find_config('atss_pevit-tiny_mix_bccd'))).model
    with pytest.raises(FileNotFoundError, match='did you mean'):
        mmppvit.config_path('atss_pevit-tiny_mix_bccdd')
