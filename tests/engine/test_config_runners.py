"""Which checkpoint a training goes on from."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from mmppvit.engine.config_runners import resume_from


def _resumed(folder, listed: str) -> Config:
    (folder / 'last_checkpoint').write_text(listed)
    cfg = Config(dict(work_dir=str(folder)))
    resume_from(cfg, 'auto')
    return cfg


def test_a_work_folder_may_be_moved(tmp_path):
    (tmp_path / 'epoch_2.pth').touch()
    assert _resumed(tmp_path, '/gone/epoch_2.pth').load_from == str(tmp_path / 'epoch_2.pth')
    assert _resumed(tmp_path, str(tmp_path / 'epoch_2.pth')).load_from is None


def test_a_checkpoint_in_a_bucket_is_left_to_mmengine(tmp_path):
    assert _resumed(tmp_path, 's3://bucket/work/epoch_2.pth').load_from is None


def test_a_checkpoint_that_is_gone_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'epoch_3\.pth, which is not there'):
        _resumed(tmp_path, '/gone/epoch_3.pth')


def test_nothing_to_go_on_from_starts_anew(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path)))
    resume_from(cfg, 'auto')
    assert cfg.resume
    assert cfg.load_from is None
