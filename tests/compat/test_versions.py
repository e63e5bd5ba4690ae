"""One error for versions that nothing was tested with."""
from __future__ import annotations

from importlib import metadata

import pytest

from mmppvit.compat import versions


@pytest.mark.parametrize(('version', 'parts'), [
    ('2.13.0+cpu', (2, 13, 0)), ('82.0.1', (82, 0, 1)), ('2.0.0rc4', (2, 0, 0)), (None, ()),
    ('', ())])
def test_parse(version, parts):
    assert versions.parse(version) == parts


def installed(monkeypatch, **found: str) -> None:
    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(versions.metadata, 'version', version)


def test_what_is_too_old_is_named_with_the_remedy(monkeypatch):
    installed(monkeypatch, torch='2.5.1+cu121', torchvision='0.20.1', mmdet='3.3.0', timm='0.9.16')
    with pytest.raises(ImportError) as caught:
        versions.check_versions()
    assert str(caught.value) == (
        'mmppvit was not made for torch 2.5.1+cu121, torchvision 0.20.1, timm 0.9.16: '
        'pip install "torch>=2.6" "torchvision>=0.21" "timm>=1.0.16"')


def test_the_oldest_tested_are_accepted(monkeypatch):
    installed(monkeypatch, **versions.OLDEST)
    versions.check_versions()


def test_nothing_installed_is_none_of_its_business(monkeypatch):
    installed(monkeypatch)
    versions.check_versions()
