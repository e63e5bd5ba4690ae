"""`mmppvit repair` takes the options of `mmppvit seal`."""
from __future__ import annotations

import pytest

from mmppvit.cli.app import main
from tests.sealed.jobs import content_of


@pytest.mark.parametrize('lost', ['manifest.json', 'images'])
def test_repair_with_the_options_of_seal(plain, key, tmp_path, lost):
    out = tmp_path / 'sealed'
    options = ['--img-dir', str(plain / 'images'), '--ann', str(plain / 'ann.json'), '--out',
               str(out), '--scheme', 'mix+shuffle', '--key-file', str(key.path)]
    assert main(['seal', *options]) == 0
    before = content_of(out)
    path = out / lost
    if path.is_dir():
        path = min(path.rglob('*.png'))
    path.unlink()
    assert main(['repair', *options]) == 0
    assert content_of(out) == before


def test_repair_offers_only_what_it_can_do(plain, tmp_path, capsys):
    for option in ('--update', '--remove', '--resume', '--engine=local', '--container=wds'):
        assert main(['repair', '--img-dir', str(plain), '--out', str(tmp_path / 'out'),
                     '--scheme', 'mix', option]) == 2
        assert 'no such option' in capsys.readouterr().err
    for source_format in ('coco', 'voc'):
        assert main(['repair', '--from', source_format, '--img-dir', str(plain / 'images'), '--out',
                     str(tmp_path / 'out'), '--scheme', 'mix']) == 2
    assert 'needs --ann' in capsys.readouterr().err


def test_repair_with_another_key_changes_nothing(plain, key, tmp_path, capsys):
    out = tmp_path / 'sealed'
    options = ['--img-dir', str(plain / 'images'), '--out', str(out), '--scheme', 'mix']
    assert main(['seal', *options, '--key-file', str(key.path)]) == 0
    before = content_of(out)
    assert main(['keygen', str(tmp_path / 'other.key')]) == 0
    for other in (['--key-file', str(tmp_path / 'other.key')], []):
        assert main(['repair', *options, *other]) == 2
        assert f'with the key of fingerprint {key.fingerprint}' in capsys.readouterr().err
        assert content_of(out) == before
