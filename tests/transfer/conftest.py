"""The command line, in this process."""
from __future__ import annotations

import pytest

from mmppvit.cli.app import main


@pytest.fixture
def run_tool_main():
    """``run_tool_main('probe', '--weights', path)`` -> the exit code."""
    return lambda *args: main([str(arg) for arg in args])
