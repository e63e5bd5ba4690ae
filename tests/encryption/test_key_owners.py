"""Keys that somebody else could have put there, or could replace."""
from __future__ import annotations

import os

import pytest

from mmppvit.encryption import Key, KeyFileError

pytestmark = pytest.mark.skipif(os.name != 'posix' or os.geteuid() != 0,
                                reason='only root can give files away')


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / 'keys'
    folder.mkdir(mode=0o700)
    Key.create(folder / 'owner.key')
    return folder / 'owner.key'


def test_a_key_of_another_user(path):
    os.chown(path, 12345, 0)
    with pytest.raises(KeyFileError, match=r'belongs to another user \(id 12345\)'):
        Key.load(path)


@pytest.mark.parametrize(('mode', 'who'), [(0o777, 'others'), (0o703, 'others'),
                                           (0o770, 'its group')])
def test_a_folder_that_others_may_write(path, mode, who):
    os.chown(path.parent, 0, 12345)
    path.parent.chmod(mode)
    with pytest.raises(KeyFileError, match=rf'can be written by {who}: chmod go-w {path.parent}'):
        Key.load(path)
    path.parent.chmod(0o755)
    Key.load(path)


def test_a_folder_above_that_others_may_write(path, tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(KeyFileError, match='can be replaced by others'):
        Key.load(path)
    tmp_path.chmod(0o1777)  # as /tmp: there only owners replace files
    Key.load(path)


def test_a_folder_of_another_user(path):
    os.chown(path.parent, 12345, 0)
    with pytest.raises(KeyFileError, match=r'another user \(id 12345\), who owns'):
        Key.load(path)
