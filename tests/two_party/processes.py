"""Processes that tests start, kill and start again."""
from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path

# A clean process with everything imported forks the children: gRPC survives no fork of its own.
CONTEXT = multiprocessing.get_context('forkserver')


class Process:
    """A process that can be killed and started again."""

    def __init__(self, run: Callable, *args) -> None:
        self.run, self.args = run, args
        self.start()

    def start(self) -> None:
        self.process = CONTEXT.Process(target=_logged, args=(self.run, *self.args))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()

    def ended(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.exitcode


def _logged(run: Callable, log: Path, *args) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    run(*args)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]
