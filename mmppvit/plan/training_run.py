"""One training of a plan: a process of its own that goes on from where an earlier one stopped."""
from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmppvit.utils.user_errors import RunError

try:
    import fcntl
except ImportError:  # Windows: two plans in one folder are not told apart
    fcntl = None

__all__ = ['Ended', 'Metrics', 'TrainingRun', 'end_processes', 'run_mmppvit']

_running: set[int] = set()  # processes that threads wait for
METRICS = dict(map='bbox_mAP', map50='bbox_mAP_50', map_small='bbox_mAP_s')


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, and seconds on the clock and of the CPU."""
    code: int
    seconds: float = 0.
    cpu_seconds: float = 0.


@dataclass(frozen=True)
class Metrics:
    """COCO figures of boxes; None for what the data set has none of."""
    map: float
    map50: float | None = None
    map_small: float | None = None


def run_mmppvit(args: Sequence[object], log: Path, keep: Sequence[int] = ()) -> Ended:
    """``mmppvit ARGS`` in a process of its own, which ends if this function is interrupted.

    Args:
        args (Sequence): Of the command line.
        log (Path): File that output is appended to.
        keep (Sequence[int]): File descriptors that the process gets.
    """
    start = time.monotonic()
    with log.open('ab') as file:
        process = subprocess.Popen([sys.executable, '-m', 'mmppvit', *map(str, args)],
                                   stdout=file, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, pass_fds=keep)
        _running.add(process.pid)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            _running.discard(process.pid)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, time.monotonic() - start, usage.ru_utime + usage.ru_stime)


def end_processes() -> None:
    """End what other threads run by :func:`run_mmppvit`."""
    for pid in list(_running):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class TrainingRun:
    """A training in a folder of its own.

    Args:
        folder (Path): Gets config.py, log.txt and what MMEngine writes.
        start (Callable): As :func:`run_mmppvit`.
    """

    def __init__(self, folder: Path,
                 start: Callable[[Sequence[object], Path, Sequence[int]], Ended] = run_mmppvit
                 ) -> None:
        self.folder = folder
        self.start = start

    @property
    def config(self) -> Path:
        return self.folder / 'config.py'

    @property
    def log(self) -> Path:
        return self.folder / 'log.txt'

    @property
    def epoch(self) -> int:
        """Epochs of the latest checkpoint; 0 without one."""
        last = self.folder / 'last_checkpoint'
        found = re.search(r'epoch_(\d+)\.pth$', last.read_text().strip()) if last.is_file() \
            else None
        return int(found[1]) if found and self.checkpoint(int(found[1])).is_file() else 0

    def checkpoint(self, epoch: int) -> Path:
        return self.folder / f'epoch_{epoch}.pth'

    def train(self, epochs: int) -> Ended:
        """Train until ``epochs`` are done, from the latest checkpoint, and evaluate.

        Raises:
            RunError: It did not come to its end; the message is one line.
        """
        with self._alone() as lock:
            ended = Ended(0)
            if self.epoch < epochs:
                args = ['train', self.config, '--work-dir', self.folder, '--cfg-options',
                        f'train_cfg.max_epochs={epochs}', f'train_cfg.val_interval={epochs}']
                ended = self._run([*args, *(['--resume'] if self.epoch else [])], lock)
            if self.epoch < epochs:
                raise RunError(f'no checkpoint of epoch {epochs} after training, see {self.log}')
            if not math.isfinite(self._last_loss()):
                raise RunError('the training diverged: its loss is no number')
            if self._validated(epochs) is None:  # it was ended between checkpoint and evaluation
                ended = _sum(ended, self._run(
                    ['test', self.config, self.checkpoint(epochs), '--work-dir',
                     self.folder / f'test_{epochs}'], lock))
        return ended

    def metrics(self, epochs: int) -> Metrics:
        """Of the evaluation after ``epochs``; a detector that found nothing has mAP 0."""
        found = self._validated(epochs)
        if found is None:
            tested = sorted((self.folder / f'test_{epochs}').glob('*/*.json'))
            found = json.loads(tested[-1].read_text()) if tested else {}
        values = {name: _ending(found, key) for name, key in METRICS.items()}
        return Metrics(**{**values, 'map': values['map'] or 0.})

    def _run(self, args: Sequence[object], lock: int | None) -> Ended:
        begin = self.log.stat().st_size if self.log.exists() else 0
        ended = self.start(args, self.log, [] if lock is None else [lock])
        if ended.code:
            raise RunError(_reason(self.log, begin, ended.code))
        return ended

    @contextmanager
    def _alone(self) -> Iterator[int | None]:
        """Hold a lock that the process inherits: it may outlive a plan that was killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / 'lock').open('a') as file:
            if fcntl is not None:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise RunError(f'{self.folder.name} still trains in a process of an earlier '
                                   'plan: wait for it, or end it') from None
            yield file.fileno() if fcntl is not None else None

    def _lines(self) -> Iterator[Mapping]:
        for file in sorted(self.folder.glob('*/vis_data/scalars.json')):
            for line in file.read_text().splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # the last line of a process that was killed

    def _validated(self, epochs: int) -> Mapping | None:
        """The line of the evaluation after ``epochs``; None if there was none."""
        lines = [line for line in self._lines() if 'loss' not in line and 'lr' not in line
                 and line.get('step') == epochs]
        return lines[-1] if lines else None

    def _last_loss(self) -> float:
        losses = [line['loss'] for line in self._lines() if 'loss' in line]
        return float(losses[-1]) if losses else 0.


def _ending(found: Mapping, key: str) -> float | None:
    values = [value for name, value in found.items() if name.split('/')[-1] == key]
    return float(values[0]) if values and float(values[0]) >= 0 else None  # -1: there are none


def _sum(one: Ended, other: Ended) -> Ended:
    return Ended(other.code, one.seconds + other.seconds, one.cpu_seconds + other.cpu_seconds)


def _reason(log: Path, begin: int, code: int) -> str:
    """Why a process failed, from the end of what it wrote since byte ``begin``."""
    with log.open('rb') as file:
        file.seek(begin)
        lines = file.read().decode(errors='replace').splitlines()
    for line in reversed(lines):
        found = re.match(r'error: (.*)|(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt)\b.*)', line)
        if found:
            return ' '.join((found[1] or found[2]).split())[:300]
    return f'the process ended by signal {-code}' if code < 0 else \
        f'the process ended with status {code}, see {log}'
