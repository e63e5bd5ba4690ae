"""Command lines run in this process."""
from __future__ import annotations

import pytest
from mmengine.logging import MMLogger

from mmppvit.cli.app import main


@pytest.fixture
def mmppvit(capfd, monkeypatch, tmp_path):
    """``mmppvit('seal', ...)`` gives exit code, stdout and stderr; it runs in an empty folder."""
    for name in ('MMPPVIT_KEY', 'MMPPVIT_KEY_COMMAND', 'MMPPVIT_PASSPHRASE',
                 'MMPPVIT_PASSPHRASE_COMMAND'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(arg) for arg in args])
        MMLogger._instance_dict.clear()  # its handlers have the streams of this test
        return code, *capfd.readouterr()

    return run
