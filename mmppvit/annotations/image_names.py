"""Which file a name in a json means, and which name every system can have."""
from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

__all__ = ['file_of', 'one_spelling', 'plain_path', 'portable_name']


def plain_path(root: str | Path, name: str) -> Path:
    """``root/name`` for reading. Links are followed, wherever they lead: data are kept in caches.

    Raises:
        OSError: The name itself leads out of ``root``.
    """
    parts = PurePosixPath(name).parts
    if not parts or '..' in parts or PurePosixPath(name).is_absolute() or '\0' in name:
        raise OSError(f'{name!r:.200} is not a name below {root}')
    return Path(root) / name


def file_of(root: str | Path, name: str) -> str | None:
    """The file below ``root`` that a json means by ``name``, as it is called on disk.

    Taken as they are meant: ``./a.jpg``, ``a//b.jpg``, ``a\\b.jpg`` of Windows, absolute names
    below ``root``, letters composed of two characters or one, names quoted as in URLs or not.

    Args:
        root (str | Path): Folder of the images.
        name (str): ``file_name`` of a json.

    Returns:
        str | None: Relative to ``root``, with '/'. The name it most likely has where there is no
        such file; None for names that lead out of ``root``.
    """
    first = None
    for candidate in _candidates(str(root), name):
        first = first or candidate
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return first


def _candidates(root: str, name: str) -> Iterator[str]:
    if '\0' in name or len(name) > 4096:
        return
    spellings = [name] if '\\' not in name else [name, name.replace('\\', '/')]
    normal = [_below(root, spelling) for spelling in spellings]
    if None in normal:
        return
    if '\\' in name:  # a file may be called so on Linux, but is more likely one of Windows
        normal.reverse()
    yield from normal
    for spelling in normal:
        for other in (unicodedata.normalize('NFC', spelling),
                      unicodedata.normalize('NFD', spelling), unquote(spelling), _quoted(spelling)):
            if other != spelling and (found := _below(root, other)) is not None:
                yield found


def _quoted(name: str) -> str:
    try:
        return quote(name)
    except UnicodeEncodeError:  # half of a surrogate pair
        return name


def _below(root: str, name: str) -> str | None:
    """``name`` relative to ``root``, without './' and '//'; None if it is not below."""
    path = PurePosixPath(name)
    if path.is_absolute():
        for base in (os.path.abspath(root), os.path.realpath(root)):
            if path.is_relative_to(base):
                path = path.relative_to(base)
                break
        else:
            return None
    if '..' in path.parts or not path.name or '\0' in name:
        return None
    return path.as_posix()


def one_spelling(name: str) -> str:
    """The same for all spellings of a name that :func:`file_of` takes, but absolute ones."""
    name = unicodedata.normalize('NFC', unquote(name.replace('\\', '/')))
    return PurePosixPath(name).as_posix()


def portable_name(name: str) -> str:
    """``name`` with '_' for what is a path or no character on another system."""
    return re.sub('[\x00-\x1f\\\\:\ud800-\udfff]', '_', name)
