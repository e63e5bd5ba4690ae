"""Configs by path and by name, in the source tree and in an installed package."""
from __future__ import annotations

import shutil

import pytest

import mmppvit
from mmppvit.utils import config_files
from mmppvit.utils.config_files import config_root, find_config

NAME = 'bccd/atss_pevit-tiny_mix_bccd'


@pytest.fixture(params=['source tree', 'installed'])
def root(request, configs, tmp_path, monkeypatch):
    """The folder of the configs, whichever way the package is there."""
    if request.param == 'source tree':
        return configs
    package = tmp_path / 'site-packages/mmppvit'
    shutil.copytree(configs, package / '.mim/configs')
    monkeypatch.setattr(mmppvit, '__file__', str(package / '__init__.py'))
    return package / '.mim/configs'


@pytest.mark.parametrize('name', [
    NAME, f'{NAME}.py', f'configs/{NAME}.py', 'atss_pevit-tiny_mix_bccd',
    'atss_pevit-tiny_mix_bccd.py'])
def test_by_name(root, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_root() == root
    assert find_config(name) == root / f'{NAME}.py'


def test_a_file_comes_first(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'atss_pevit-tiny_mix_bccd.py').touch()
    assert not find_config('atss_pevit-tiny_mix_bccd').is_absolute()


@pytest.mark.parametrize(('name', 'message'), [
    ('bccd/atss_pevit-tiny_mix_bcd', f'did you mean {NAME}'),
    ('atss_pevit-tiny_mx_bccd.py', f'did you mean {NAME}'),
    ('_base_/default_runtime', 'no config _base_/default_runtime'),
    ('xyz', 'configs that come with mmppvit are in '),
])
def test_none_of_that_name(root, tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        find_config(name)


def test_no_configs_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(config_files, 'config_root', lambda: None)
    with pytest.raises(FileNotFoundError, match='was installed without its configs'):
        find_config('xyz')
