"""``tools/keygen.py``: a private file, a fingerprint, and never the key itself."""
from __future__ import annotations

import re
import stat

import pytest

from mmppvit.encryption import Key


def _fails(run_tool, capsys, *args: object) -> str:
    """The one line on stderr of a run that ends with exit status 2."""
    with pytest.raises(SystemExit) as caught:
        run_tool('keygen.py', *args)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.count('\n') == 1
    return err


def test_makes_a_key(run_tool, tmp_path, capsys):
    path = tmp_path / 'new.key'
    run_tool('keygen.py', path)
    out, err = capsys.readouterr()
    assert out == f'{path}: new key with fingerprint {Key.load(path).fingerprint}\n'
    assert err == ''
    assert path.read_text().split('\n')[1] not in out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_run_changes_nothing(run_tool, tmp_path, capsys):
    path = tmp_path / 'new.key'
    run_tool('keygen.py', path)
    content = path.read_bytes()
    capsys.readouterr()
    err = _fails(run_tool, capsys, path)
    assert err.startswith(f'error: {path} exists; keys are never overwritten')
    assert path.read_bytes() == content


def test_shows_the_fingerprint(run_tool, tmp_path, capsys):
    path = tmp_path / 'new.key'
    key = Key.create(path)
    content = path.read_bytes()
    run_tool('keygen.py', path, '--show')
    out, err = capsys.readouterr()
    assert out == f'{path}: key with fingerprint {key.fingerprint}\n'
    assert err == ''
    assert path.read_bytes() == content


def test_a_relative_name_is_in_the_working_folder(run_tool, tmp_path):
    run_tool('keygen.py', 'here.key')
    assert Key.load(tmp_path / 'here.key')


@pytest.mark.parametrize(('content', 'mode', 'message'), [
    (None, None, 'error: no key file .*new.key: make one'),
    (b'', 0o600, 'error: .*new.key is not a key file of this version'),
    (b'mmppvit key 1\nab', 0o600, 'error: .*new.key is a damaged key file'),
    (b'', 0o644, r'error: .*new.key can be read by others \(mode 0644\): chmod 600'),
])
def test_nothing_to_show(run_tool, tmp_path, capsys, content, mode, message):
    path = tmp_path / 'new.key'
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    err = _fails(run_tool, capsys, path, '--show')
    assert re.match(message, err)
    assert path.exists() == (content is not None)


def test_a_folder_that_is_missing(run_tool, tmp_path, capsys):
    err = _fails(run_tool, capsys, tmp_path / 'missing/new.key')
    assert 'cannot be written: No such file or directory' in err


@pytest.mark.parametrize('args', [(), ('a.key', 'b.key'), ('a.key', '--force')])
def test_other_arguments(run_tool, tmp_path, args):
    with pytest.raises(SystemExit) as caught:
        run_tool('keygen.py', *args)
    assert caught.value.code == 2
    assert not list(tmp_path.iterdir())
