"""A machine that loses power, as SQLite simulates it: what was not flushed may be lost.

While a function runs, every flush is recorded: the content of a file, the names in a folder. At
any moment a folder can be written that the disk might hold if the power went then: of names that
were not flushed each is there or not, old or new, and a file that was not flushed is empty, cut
short, zeros, old or whole.
"""
from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

STEPS = ('os.fsync', 'os.replace', 'os.link', 'os.unlink', 'os.rmdir', 'os.chmod',
         'pathlib.Path.write_bytes', 'pathlib.Path.mkdir', 'mmppvit.sealed.journal.Journal._write')


class Disk:
    """What of ``root`` is on the disk for certain.

    Args:
        root (Path): The folder; it is there.
        at_step (Callable): Called before and after every step that changes files.
    """

    def __init__(self, root: Path, at_step: Callable[[Disk], None]) -> None:
        self.root = root
        self.steps = 0
        self._at_step = at_step
        self._content: dict[int, bytes] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._open: list[int] = []  # so that no number of an inode is used again
        self._busy = False
        self._remember_all()

    def _remember_all(self) -> None:
        """What is there when the run begins has been there for long."""
        for folder, _, files in os.walk(self.root):
            self._names[folder] = _names(folder)
            for name in files:
                path = os.path.join(folder, name)
                self._content[os.stat(path).st_ino] = Path(path).read_bytes()

    def flush(self, handle: int) -> None:
        status = os.fstat(handle)
        path = os.readlink(f'/proc/self/fd/{handle}')
        self._open.append(os.dup(handle))
        if stat.S_ISDIR(status.st_mode):
            self._names[path] = _names(path)
        else:
            self._content[status.st_ino] = Path(f'/proc/self/fd/{handle}').read_bytes()

    def run(self, function: Callable[[], object]) -> object:
        """``function()``, with every step watched."""
        patch = pytest.MonkeyPatch()
        for name in STEPS:
            owner, _, attribute = name.rpartition('.')
            target = __import__('pkgutil').resolve_name(owner)
            patch.setattr(target, attribute, self._watched(name, getattr(target, attribute)))
        try:
            return function()
        finally:
            patch.undo()
            for handle in self._open:
                os.close(handle)

    def _watched(self, name: str, step: Callable) -> Callable:
        def call(*args, **kwargs):
            if self._busy:
                return step(*args, **kwargs)
            self._tell()
            result = step(*args, **kwargs)
            if name == 'os.fsync':
                self._quietly(lambda: self.flush(args[0]))
            self._tell()
            return result
        return call

    def _tell(self) -> None:
        self.steps += 1
        self._quietly(lambda: self._at_step(self))

    def _quietly(self, function: Callable[[], object]) -> None:
        self._busy = True
        try:
            function()
        finally:
            self._busy = False

    def after_loss(self, out: Path, rng: random.Random) -> None:
        """Write to ``out`` what the disk may hold."""
        self._write_folder(str(self.root), out, rng)

    def _write_folder(self, folder: str, out: Path, rng: random.Random) -> None:
        out.mkdir(parents=True)
        certain, now = self._names.get(folder, {}), _names(folder)
        for name in sorted({*certain, *now}):
            number = certain.get(name) if rng.random() < .5 else now.get(name)
            if number is None:
                continue
            path = os.path.join(folder, name)
            if os.path.isdir(path) and now.get(name) == number:
                self._write_folder(path, out / name, rng)
            elif path not in self._names:  # else a folder that is gone
                content = self._content_of(path, number, now.get(name) == number, rng)
                (out / name).write_bytes(content)

    def _content_of(self, path: str, number: int, is_there: bool, rng: random.Random) -> bytes:
        certain = self._content.get(number, b'')
        now = Path(path).read_bytes() if is_there else certain
        if now == certain:
            return now
        return rng.choice([b'', now[:rng.randrange(len(now) + 1)], bytes(len(now)), certain, now])


def _names(folder: str) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}
