"""What commands show and read: a progress bar, tables, sizes."""
from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

__all__ = ['parse_shard', 'parse_size', 'print_table', 'progress_bar', 'progress_bars']

EVERY = .1  # seconds between two drawings of a bar


class _Rate(ProgressColumn):

    def render(self, task: Task) -> str:
        speed = task.finished_speed or task.speed
        return f'{speed:.1f}/s' if speed else ''


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function of (done, total) that shows them with rate and time left, on stderr."""
    with progress_bars(title) as (show, ):
        yield show


@contextmanager
def progress_bars(*titles: str) -> Iterator[list[Callable[[int, int], None]]]:
    """As `progress_bar`, for steps that follow each other; what is never called shows nothing."""
    # No thread of its own, which would make forking workers unsafe.
    bar = Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), _Rate(),
                   TimeRemainingColumn(), console=Console(stderr=True), auto_refresh=False)
    tasks = [bar.add_task(title, total=None, start=False, visible=False) for title in titles]
    shown = 0.

    def show(task: TaskID, done: int, total: int) -> None:
        nonlocal shown
        bar.start()  # now that there is something to show
        bar.start_task(task)
        now = time.monotonic()
        # Drawing takes longer than copying a small image.
        draw = bar.console.is_terminal and (done >= total or now - shown >= EVERY)
        shown = now if draw else shown
        bar.update(task, completed=done, total=total, visible=True, refresh=draw)

    try:
        yield [partial(show, task) for task in tasks]
    finally:
        if bar.live.is_started:
            bar.stop()


def print_table(table: Table, width: int = 140) -> None:
    """Print a table as wide as the terminal, or as ``width`` where the output goes elsewhere."""
    Console(width=None if sys.stdout.isatty() else width).print(table)


def parse_shard(text: str) -> tuple[int, int]:
    """'0/4' -> (0, 4); raises ValueError for anything else."""
    index, _, count = text.partition('/')
    if not (index.isdecimal() and count.isdecimal()):
        raise ValueError(f'--shard {text}: write it as i/n, e.g. 0/4')
    return int(index), int(count)


def parse_size(text: str) -> tuple[int, int]:
    """'1333x800' -> (1333, 800); raises ValueError for anything else."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise ValueError(f'{text!r} is not WIDTHxHEIGHT, e.g. 1333x800')
    return int(width), int(height)
