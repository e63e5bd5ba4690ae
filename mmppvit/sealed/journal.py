"""What a run that seals has done so far, so that another can go on with it."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mmppvit.utils.atomic import write_atomic

try:
    import fcntl
except ImportError:  # Windows: there it is up to the user to start a part only once
    fcntl = None

__all__ = ['WORK', 'Journal', 'Progress', 'locked', 'read_journal']

WORK = '.sealing'  # below the output folder: journals, gone when all is done


class Progress:
    """Of one part: whether it is through, files by index, reasons to skip by index."""

    def __init__(self) -> None:
        self.through = False
        self.files: dict[int, list[dict]] = {}
        self.problems: dict[int, str] = {}


class Journal:
    """A line for each image that is done; a line that was cut short counts as not there.

    Args:
        out (Path): Folder of the sealed data set.
        shard (tuple[int, int]): (i, n): the i-th of n parts.
        job (str): Digest of what was asked for, the first line.
    """

    def __init__(self, out: Path, shard: tuple[int, int], job: str) -> None:
        self.path = out / WORK / 'shard-{}-of-{}.jsonl'.format(*shard)
        self.out = out
        self.job = job
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = locked(self.path.with_suffix('.lock'), wait=False)
        try:
            self._lock.__enter__()
        except OSError:
            raise ValueError(f'another process is sealing this part of {self.out}') from None
        return self

    def __exit__(self, *error) -> None:
        self._lock.__exit__(*error)

    def read(self) -> dict[int, list[dict]]:
        """Files of the images that were sealed, by index, if they are there and as they were."""
        done = read_journal(self.path, self.job).files if self.path.exists() else {}
        return self.still_good(done)

    def still_good(self, done: dict[int, list[dict]]) -> dict[int, list[dict]]:
        """Of ``done``, that whose files are there and as they were."""
        return {i: files for i, files in done.items() if all(map(self._is_good, files))}

    def _is_good(self, entry: dict) -> bool:
        path = self.out / entry['file']
        return path.is_file() and path.stat().st_size == entry['bytes'] and \
            hashlib.sha256(path.read_bytes()).hexdigest() == entry['sha256']

    def start(self, done: dict[int, list[dict]]) -> None:
        """Begin with what is known to be done, in one step."""
        lines = [dict(job=self.job), *(dict(i=i, files=files) for i, files in done.items())]
        write_atomic(self.path, ''.join(f'{json.dumps(line)}\n' for line in lines).encode())
        self._file = self.path.open('a')

    def add(self, index: int, files: list[dict], problem: str | None) -> None:
        """Note an image's files, or why it was skipped."""
        entry = dict(i=index, files=files) if problem is None else dict(i=index, skipped=problem)
        self._file.write(f'{json.dumps(entry)}\n')
        self._file.flush()

    def finish(self) -> None:
        """Note that this part is through."""
        self._file.write(f'{json.dumps(dict(done=True))}\n')
        self._file.close()


def read_journal(path: Path, job: str) -> Progress:
    """What the journal ``path`` of ``job`` says.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is of another job.
    """
    progress = Progress()
    lines = path.read_text().splitlines()
    if lines and lines[0] != json.dumps(dict(job=job)):  # empty: lost when the power was cut
        raise ValueError(f'{path.parents[1]} was started from other images or with other '
                         'options, so it cannot be resumed with these: choose another --out')
    for line in lines[1:]:
        try:
            entry = json.loads(line)
        except ValueError:  # cut short, or bytes lost in a crash: that image is sealed again
            continue
        progress.through = progress.through or 'done' in entry
        if 'files' in entry:
            progress.files[entry['i']] = entry['files']
        elif 'skipped' in entry:
            progress.problems[entry['i']] = entry['skipped']
    return progress


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock file ``path``, which a process that dies lets go of.

    Raises:
        OSError: Another process holds it, and ``wait`` is False.
    """
    with path.open('w') as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
