"""What a run that seals has done so far, so that another can go on with it.

With a key every line has a MAC over the job, the part, the state that the run began with, and
itself: what others write into a journal, or move there from another one, counts as not there.
Without a key nothing in a journal is known to be true; see :mod:`mmppvit.sealed.resume`.
"""
from __future__ import annotations

import hmac
import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from pathlib import Path
from typing import TextIO

from mmppvit.encryption import Key, Scheme
from mmppvit.sealed.entries import SealedImage, entry_of, expect, parse_entry
from mmppvit.sealed.manifest_format import VERSION, canonical, parse_json
from mmppvit.utils.atomic import replace_file, sync_files, sync_folder
from mmppvit.utils.regular_files import open_regular

try:
    import fcntl
except ImportError:  # Windows: there it is up to the user to start a part only once
    fcntl = None

__all__ = ['END_LOCK', 'WORK', 'Journal', 'JournalIndex', 'Progress', 'locked']

WORK = '.sealing'  # below the output folder: journals, gone when all is done
END_LOCK = f'{WORK}/end.lock'  # of whoever writes the end, or begins with a part


class Progress:
    """Of one part: whether it is through, files by index, reasons to skip by index."""

    def __init__(self) -> None:
        self.through = False
        self.files: dict[int, list[SealedImage]] = {}
        self.problems: dict[int, str] = {}


class JournalIndex:
    """Where in a journal the newest line of each image is: 8 bytes an image.

    Args:
        journal (Journal): The journal of a part, read whole once.
        indices (range): Of the images of this part.
        scheme, scales: As of :meth:`Journal.read`.
    """

    def __init__(self, journal: Journal, indices: range, scheme: Scheme, scales: Sequence) -> None:
        self._journal, self._indices = journal, indices
        self._scheme, self._scales = scheme, list(scales)
        self._starts = array('q', [-1]) * len(indices)
        self.through = False
        self.problems: dict[int, str] = {}
        for start, line in journal.lines():
            progress = journal.parsed(line, self._scheme, self._scales)
            self.through = self.through or progress.through
            for i in progress.problems.keys() | progress.files.keys():
                if i not in indices:
                    continue
                self.problems.pop(i, None)
                if i in progress.files:
                    self._starts[indices.index(i)] = start
                else:
                    self._starts[indices.index(i)] = -1
                    self.problems[i] = progress.problems[i]

    def covers(self) -> bool:
        """Whether the part is through and has a file or a reason for each image."""
        return self.through and all(start >= 0 or i in self.problems
                                    for i, start in zip(self._indices, self._starts, strict=True))

    def has(self, index: int) -> bool:
        """Whether there are files of an image."""
        return index in self._indices and self._starts[self._indices.index(index)] >= 0

    def sealed(self) -> Iterator[int]:
        """Indices of the images that have files."""
        return (i for i, start in zip(self._indices, self._starts, strict=True) if start >= 0)

    def files(self, index: int) -> list[SealedImage]:
        """The files of one image, authenticated again.

        Raises:
            ValueError: The journal has changed since.
        """
        line = self._journal.line_at(self._starts[self._indices.index(index)])
        found = self._journal.parsed(line, self._scheme, self._scales).files
        if list(found) != [index]:
            raise ValueError(f'{self._journal.path} has changed while it was read: --resume')
        return found[index]


class Journal:
    """A line for each image that is done; a line that was cut short counts as not there.

    Args:
        out (Path): Folder of the sealed data set.
        shard (tuple[int, int]): (i, n): the i-th of n parts.
        job (str): Names what was asked for; the first line.
        key (Key, optional): Authenticates the lines.
        base (int): Counter of the finished data set that is resumed; 0 for a new one. A journal of
            an earlier state is not taken for one of this.
        old_job (str): What versions before 4 would write for ``job``; their lines have no MAC, so
            that their images are sealed again.
        place (Callable): Where a sealed file lies, relative to ``out``.
    """

    def __init__(self, out: Path, shard: tuple[int, int], job: str, key: Key | None = None,
                 base: int = 0, old_job: str = '',
                 place: Callable[[str], str] = lambda file: file) -> None:
        self.path = out / WORK / 'shard-{}-of-{}.jsonl'.format(*shard)
        self.out = out
        self._head = dict(job=job, base=base)
        self._old_job, self._place = old_job, place
        self._key = key
        self._context = job.encode(), '{}/{}'.format(*shard).encode(), str(base).encode()
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        if self.path.parent.is_symlink():
            raise ValueError(f'{self.path.parent} is a link: remove it')
        self._lock = self.alone()
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with locked(self.out / END_LOCK):  # no part changes while the end is written
                    self._lock.__enter__()
                return self
            except FileNotFoundError:  # the end was written, and the folder removed
                continue
            except OSError:
                raise ValueError(f'another process is sealing this part of {self.out}') from None

    def alone(self) -> AbstractContextManager[None]:
        """The lock of the part, which whoever seals it holds.

        Raises:
            OSError: Another process holds it, or it is a link.
        """
        return locked(self.path.with_suffix('.lock'), wait=False)

    def __exit__(self, *error) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.__exit__(*error)

    def read(self, scheme: Scheme, scales: Sequence) -> Progress:
        """What it says, as far as it is authentic; nothing where there is none.

        Raises:
            ValueError: It is of another job, or not a file.
        """
        progress = Progress()
        for _, line in self.lines():
            self.parsed(line, scheme, list(scales), progress)
        return progress

    def parsed(self, line: bytes, scheme: Scheme, scales: list, progress: Progress | None = None
               ) -> Progress:
        """What one line says, added to ``progress``; nothing if it is not authentic."""
        progress = Progress() if progress is None else progress
        try:
            entry = parse_json(line)
            if self._is_authentic(entry):
                self._take(entry, progress, scheme, scales)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError,
                RecursionError):  # cut short, or lost in a crash: that image is sealed again
            pass
        return progress

    def is_of_job(self) -> bool:
        """Whether there is no journal, or it can be gone on with."""
        try:
            self.check_job()
        except ValueError:
            return False
        return True

    def check_job(self) -> None:
        """Raise ValueError if there is a journal and it is of another job."""
        next(self.lines(), None)

    def line_at(self, start: int) -> bytes:
        """The line that starts there."""
        with open_regular(self.path) as file:
            file.seek(start)
            return file.readline()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Where each line of this job starts, and the line; nothing of an earlier state.

        Raises:
            ValueError: It is of another job, or not a file.
        """
        try:
            with open_regular(self.path) as file:
                if not self._is_head(file.readline()):
                    return
                start = file.tell()
                while line := file.readline():
                    yield start, line
                    start += len(line)
        except FileNotFoundError:
            return
        except OSError as err:
            raise ValueError(f'{self.path} cannot be read: {err.strerror}') from None

    def _is_head(self, line: bytes) -> bool:
        """Whether the first line says that others can be gone on with."""
        try:
            head = parse_json(line)
        except (ValueError, RecursionError):  # lost when the power was cut
            return False
        if head == self._head:
            return True
        job = head.get('job') if isinstance(head, dict) else None
        if job in (self._head['job'], self._old_job):  # of an earlier state, or version
            return False
        raise ValueError(f'{self.path.parents[1]} was started from other images or with other '
                         'options, so it cannot be resumed with these: choose another --out')

    def _is_authentic(self, entry: dict) -> bool:
        if self._key is None:
            return True
        mac = entry.pop('mac', None)
        return isinstance(mac, str) and hmac.compare_digest(ascii(mac), ascii(self._mac(entry)))

    def _mac(self, entry: dict) -> str:
        return self._key.mac('journal', *self._context, canonical(entry))

    def _take(self, entry: dict, progress: Progress, scheme: Scheme, scales: list) -> None:
        if 'done' in entry:
            progress.through = True
            return
        expect(type(entry['i']) is int, 'no index')
        if 'skipped' in entry:
            expect(isinstance(entry['skipped'], str), 'no reason')
            progress.problems[entry['i']] = entry['skipped']
            progress.files.pop(entry['i'], None)
        else:
            progress.files[entry['i']] = [
                parse_entry(item, scheme, scales, VERSION) for item in entry['files']]
            progress.problems.pop(entry['i'], None)

    def start(self, done: Iterable[tuple[int, list[SealedImage]]]) -> None:
        """Begin with what is known to be done: files by the index of their image; in one step."""
        with replace_file(self.path, sync=True) as path, path.open('w') as file:
            file.write(f'{json.dumps(self._head)}\n')
            file.writelines(f'{self._line(i, files, None)}\n' for i, files in done)
        # Images without a journal would be taken for those of somebody else.
        for folder in (self.out, self.out.resolve().parent):
            sync_folder(folder)
        self._file = self.path.open('a')

    def add(self, index: int, files: list[SealedImage], problem: str | None) -> None:
        """Note an image's files, or why it was skipped."""
        self._write(self._line(index, files, problem))

    def finish(self, files: Iterable[str]) -> None:
        """Note that this part is through, once all of its ``files`` are on the disk."""
        sync_files(self.out, map(self._place, files))
        self._write(self._signed(dict(done=True)))
        os.fsync(self._file.fileno())
        self._file.close()
        sync_folder(self.path.parent)

    def _line(self, index: int, files: list[SealedImage], problem: str | None) -> str:
        return self._signed(dict(i=index, files=[entry_of(image, VERSION) for image in files])
                            if problem is None else dict(i=index, skipped=problem))

    def _signed(self, entry: dict) -> str:
        mac = {} if self._key is None else dict(mac=self._mac(entry))
        return json.dumps(entry | mac)

    def _write(self, line: str) -> None:
        self._file.write(f'{line}\n')
        self._file.flush()


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file ``path``, which a process that dies lets go of.

    Raises:
        OSError: Another process holds it, and ``wait`` is False, or it is a link.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0)
    while True:
        with os.fdopen(os.open(path, flags, 0o666), 'r+b', buffering=0) as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if not _is_at(file, path):  # who held it has removed it: it is nobody's any more
                continue
            yield
            return


def _is_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
