"""Which exceptions are whose fault.

Input is at fault where this project raised ``ValueError``, ``OSError`` and the like by a statement
of its own, where the operating system refused a file, where click refused the command line, and in
the few cases of :data:`FOREIGN`, which other packages raise on wrong configs. All else, a
ValueError of NumPy within our code among it, is a fault of ours and keeps its traceback.
"""
from __future__ import annotations

import dis
import errno
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import click

import mmppvit
from mmppvit.utils.user_errors import EXTRAS, UserError

__all__ = ['report_fault', 'user_message']

PACKAGE = Path(mmppvit.__file__).parent
_RAISE = dis.opmap['RAISE_VARARGS']
_REFUSED = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST,
            errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.ENAMETOOLONG, errno.ELOOP}


def user_message(error: BaseException) -> str | None:
    """What to tell the user about an error in the input; None for a fault of ours."""
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _missing_package(error)
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, (ValueError, OSError, FloatingPointError, ImportError)):
        if _raised_on_purpose(error.__traceback__):
            return str(error)
        in_worker = _from_worker(str(error))
        if in_worker is not None:
            return in_worker
    if isinstance(error, OSError):
        return _refused(error)
    for kind, module, message in FOREIGN:
        if isinstance(error, kind) and _raising_module(error.__traceback__).startswith(module):
            text = message(str(error.args[0] if error.args else error))
            if text is not None:
                return text
    return None


def report_fault(error: BaseException) -> None:
    """Print the traceback, and what to do with it."""
    text = ''.join(traceback.format_exception(error))
    click.echo(f'{text}\nThis is a fault of mmppvit {mmppvit.__version__}. Please report it, with '
               'the lines above and the output of `mmppvit doctor`.', err=True)


def _usage(error: click.ClickException) -> str:
    text = error.format_message().strip().rstrip('.')
    ctx = getattr(error, 'ctx', None)
    text = ' '.join(text.split())
    text = text[:1].lower() + text[1:]
    return f'{text} ({ctx.command_path} --help)' if ctx is not None else text


def _missing_package(error: ModuleNotFoundError) -> str | None:
    name = (error.name or '').partition('.')[0]
    if name not in EXTRAS:
        return None
    return f'this command needs {name}, which is not installed: ' \
           f'pip install "mmppvit[{EXTRAS[name]}]"'


def _innermost(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _raising_module(trace: TracebackType | None) -> str:
    last = _innermost(trace)
    return '' if last is None else last.tb_frame.f_globals.get('__name__', '')


def _raised_on_purpose(trace: TracebackType | None) -> bool:
    """Whether a ``raise`` statement of this project raised it, and no failing operation."""
    last = _innermost(trace)
    if last is None or not _raising_module(trace).startswith('mmppvit.'):
        return False
    return last.tb_frame.f_code.co_code[last.tb_lasti] == _RAISE


def _from_worker(text: str) -> str | None:
    """The message of an error that a data loader's process raised on purpose, from its traceback.

    torch raises it again in the parent, with the traceback as its message.
    """
    if not re.match(r'Caught \w+ in DataLoader worker process', text):
        return None
    frames = list(re.finditer(r'^ +File "(.+)", line \d+, in .*\n +(.*)$', text, re.MULTILINE))
    if not frames or not frames[-1][2].startswith('raise ') \
            or not Path(frames[-1][1]).is_relative_to(PACKAGE):
        return None
    found = re.search(r'^[\w.]+: (.*)', text[frames[-1].end():], re.MULTILINE | re.DOTALL)
    return found and found[1].strip()


def _refused(error: OSError) -> str | None:
    """What the operating system has against a file that the user named."""
    if error.errno not in _REFUSED:
        return None
    if error.filename is None:
        return error.strerror if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) \
        else str(error.filename)
    if Path(path).is_absolute() and Path(path).is_relative_to(PACKAGE):
        return None  # a file that belongs to this package is missing
    return f'{path}: {error.strerror}'


# --- what other packages raise on wrong input -----------------------------------------------------

def _not_registered(text: str) -> str | None:
    found = re.match(r'(\S+) is not in the (\S+) registry', text)
    return found and (f'the config asks for type {found[1]!r}, which the registry {found[2]} does '
                      'not have: correct the name, or add its module to custom_imports')


def _wrong_argument(text: str) -> str | None:
    found = re.search(r"(\w+)\.__init__\(\) (got an unexpected keyword argument '\w+'"
                      r'|missing \d+ required .*)', text)
    return found and f'the config builds {found[1]} with wrong arguments: it {found[2]}'


def _class_count(text: str) -> str:
    return f'{text}: set num_classes of the heads, or the classes of the data, to agree'


def _unpickled(text: str) -> str:
    return ('the checkpoint cannot be read without unpickling objects: if you trust it, '
            '`mmppvit rewrite-checkpoint` makes one that can')


def _out_of_memory(text: str) -> str | None:
    if 'out of memory' not in text and "can't allocate memory" not in text:
        return None
    return (f'{text.splitlines()[0]}: choose a smaller train_dataloader.batch_size or scale, or '
            'fewer workers')


# Exception, module that raises it (a prefix), and what is told instead, or None.
FOREIGN: list[tuple[type[BaseException], str, Callable[[str], str | None]]] = [
    (KeyError, 'mmengine.registry', _not_registered),
    (TypeError, 'mmengine.registry', _wrong_argument),
    (AssertionError, 'mmdet.engine.hooks.num_class_check_hook', _class_count),
    (Exception, 'torch.serialization', lambda text: _unpickled(text)
     if 'Weights only load failed' in text else None),
    (Exception, 'torch._weights_only_unpickler', _unpickled),
    (RuntimeError, '', _out_of_memory),
]
