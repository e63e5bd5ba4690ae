"""mmengine finds packages where pkg_resources is gone."""
from __future__ import annotations

import sys
import textwrap
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import mmdet
import mmengine.config.config
import mmengine.utils
import pytest

from mmppvit.compat import installed_packages
from mmppvit.compat.installed_packages import get_installed_path, is_installed, package2module


def test_mmengine_uses_these():
    for place in (mmengine.utils, mmengine.utils.package_utils, mmengine.config.config):
        assert place.get_installed_path is get_installed_path
        assert place.is_installed is is_installed


@pytest.mark.parametrize(('package', 'found'), [
    ('mmdet', True), ('mmcv', True), ('opencv-python', True), ('json', True),
    ('no-such-package', False), ('no_such_package.module', False)])
def test_is_installed(package, found):
    assert is_installed(package) is found


def test_installed_path():
    assert Path(get_installed_path('mmdet')) == Path(mmdet.__file__).parent


def test_a_distribution_may_have_another_name_than_its_module():
    assert package2module('pillow') == 'PIL'
    assert Path(get_installed_path('pillow')).name == 'PIL'


def test_a_module_on_the_path_needs_no_distribution(tmp_path, monkeypatch):
    (tmp_path / 'only_a_folder').mkdir()
    (tmp_path / 'beside').mkdir()
    (tmp_path / 'beside/__init__.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert Path(get_installed_path('beside')) == tmp_path / 'beside'
    assert not is_installed('only_a_folder')
    with pytest.raises(RuntimeError, match='namespace package'):
        get_installed_path('only_a_folder')


def test_what_is_missing_is_named():
    with pytest.raises(PackageNotFoundError, match='no-such-package'):
        get_installed_path('no-such-package')


def test_a_base_of_mmdet_is_read_without_pkg_resources(run_python, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'")
    done = run_python('-c', textwrap.dedent(f"""
        import sys
        sys.modules['pkg_resources'] = None  # importing it raises
        from mmengine.config import Config
        print(Config.fromfile({str(config)!r}).model.type)
    """))
    assert done.stdout.split()[-1:] == ['RetinaNet'], done.stderr


def test_a_later_mmengine_keeps_its_own():
    later = ModuleType('mmengine.utils.package_utils')
    exec(textwrap.dedent("""
        def is_installed(package):
            from importlib.metadata import distribution
        get_installed_path = package2module = is_installed
    """), vars(later))
    theirs = later.get_installed_path
    installed_packages.replace_functions(later)
    assert later.get_installed_path is theirs
    assert sys.modules['mmengine.utils.package_utils'] is not later
