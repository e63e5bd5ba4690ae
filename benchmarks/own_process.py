"""Functions in processes of their own, so that one run's memory and threads are not another's."""
from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess

__all__ = ['result_of', 'started']


def started(function: Callable, *args) -> tuple[BaseProcess, object]:
    """A new process that runs ``function(pipe, *args)``, and what it sends first."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=function, args=(theirs, *args))
    process.start()
    theirs.close()  # a process that dies then ends the wait
    return process, ours.recv()


def result_of(function: Callable, *args):
    """What ``function(pipe, *args)`` sends, once its process has ended."""
    process, result = started(function, *args)
    process.join()
    return result
