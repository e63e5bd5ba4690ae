"""The tests' interpreter behaves as a real one."""
from __future__ import annotations

import multiprocessing
import subprocess
import sys

import pytest

from tests.warm_python import run_warm_python

SCRIPT = """
import os, sys
print(sys.argv[1:], __name__, os.environ.get('MARK'), os.path.realpath(os.getcwd()))
print('to stderr', file=sys.stderr)
os.write(1, b'from below\\n')
import beside
sys.exit(beside.CODE)
"""


def test_a_script_runs_as_in_a_fresh_interpreter(tmp_path):
    (tmp_path / 'script.py').write_text(SCRIPT)
    (tmp_path / 'beside.py').write_text('CODE = 3')
    env = dict(MARK='x', PATH='/usr/bin:/bin')
    args = [tmp_path / 'script.py', 'a', '--b']
    warm = run_warm_python(*args, cwd=tmp_path, env=env)
    fresh = subprocess.run([sys.executable, *args], cwd=tmp_path, env=env, capture_output=True,
                           text=True)
    assert (warm.returncode, warm.stderr) == (fresh.returncode, fresh.stderr) == (3, 'to stderr\n')
    assert sorted(warm.stdout.splitlines()) == sorted(fresh.stdout.splitlines())


@pytest.mark.parametrize(('code', 'status'), [
    ('pass', 0), ('raise SystemExit(2)', 2), ('raise SystemExit("one line")', 1), ('1 / 0', 1)])
def test_exit_status(code, status):
    assert run_warm_python('-c', code).returncode == status


def test_an_error_keeps_its_traceback():
    assert 'ZeroDivisionError' in run_warm_python('-c', '1 / 0').stderr


def test_packages_are_there_already_and_state_is_not_shared():
    _start_other_server()
    code = ('import sys, os; assert "mmdet.models" in sys.modules; '
            'assert not hasattr(os, "mark"); os.mark = 1')
    for _ in range(2):
        done = run_warm_python('-c', code)
        assert done.returncode == 0, done.stderr


def _start_other_server():
    """As code under test does that seals in several processes."""
    child = multiprocessing.get_context('forkserver').Process(target=int)
    child.start()
    child.join()


def test_modules_run():
    done = run_warm_python('-m', 'this')
    assert 'Namespaces are one honking great idea' in done.stdout


def test_a_child_that_hangs_is_killed():
    with pytest.raises(subprocess.TimeoutExpired):
        run_warm_python('-c', 'import threading; threading.Event().wait()', timeout=.2)
