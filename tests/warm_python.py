"""``python SCRIPT ...`` as a child of its own, without paying eight seconds for imports each time.

A server process imports MMDetection once and forks for every call, so that a child has what a fresh
interpreter has: its own arguments, folder, environment, output and exit status. What is decided
when packages are imported (``OMP_NUM_THREADS``, which packages are blocked) is decided already:
such tests start a real interpreter.
"""
from __future__ import annotations

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from unittest import mock

__all__ = ['run_warm_python']

ROOT = Path(__file__).resolve().parents[1]
PRELOAD = ('mmppvit.register', 'mmdet.apis', 'mmdet.models', 'mmppvit.sealed',
           'tests.quick_configs')
_context = multiprocessing.get_context('forkserver')


def run_warm_python(*args: object,
                    cwd: str | os.PathLike | None = None,
                    env: Mapping[str, str] | None = None,
                    timeout: float = 300.) -> subprocess.CompletedProcess:
    """Run what ``python *args`` runs: a script, ``-c CODE`` or ``-m MODULE``, and its arguments.

    Args:
        args: As on a command line.
        cwd (str or PathLike, optional): Defaults to the present folder.
        env (Mapping, optional): The whole environment; defaults to the present one.
        timeout (float): Seconds after which the child is killed.

    Returns:
        subprocess.CompletedProcess: With ``stdout`` and ``stderr`` as text.

    Raises:
        subprocess.TimeoutExpired: If it took longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [os.path.join(folder, name) for name in ('stdout', 'stderr')]
        child = _context.Process(target=_run, args=(
            [str(a) for a in args], str(cwd or os.getcwd()), dict(env or os.environ), streams))
        ours = _server().connect_to_new_process
        with mock.patch.object(forkserver, 'connect_to_new_process', ours):
            child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(args, timeout)
        texts = [Path(s).read_text(errors='replace') if os.path.exists(s) else '' for s in streams]
    return subprocess.CompletedProcess(args, child.exitcode, *texts)


@functools.cache
def _server() -> forkserver.ForkServer:
    """With this source tree on its path, and one thread, as forks of many threads may hang.

    A server of its own: that of the context may have been started by the code under test, without
    the packages.
    """
    server = forkserver.ForkServer()
    server.set_forkserver_preload(list(PRELOAD))
    path = filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS='1'):
        server.ensure_running()
    return server


def _run(args: Sequence[str], cwd: str, env: Mapping[str, str], streams: Sequence[str]) -> None:
    """In the child: become the interpreter that was asked for."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, (name, path) in enumerate(zip(('stdout', 'stderr'), streams, strict=True), 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        stream = os.fdopen(number, 'w', buffering=1, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f'__{name}__', stream)
    first, *rest = args
    if first == '-m':
        sys.argv, sys.path[0] = rest, cwd
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    elif first == '-c':
        sys.argv, sys.path[0] = ['-c', *rest[1:]], ''
        sys.modules['__main__'] = main = ModuleType('__main__')
        exec(compile(rest[0], '<string>', 'exec'), vars(main))
    else:
        sys.argv, sys.path[0] = list(args), os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name='__main__')
