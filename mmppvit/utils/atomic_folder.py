"""Folders that appear whole or not at all, and what a synthetic data set was made with."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ['synthetic_info', 'whole_folder']


@contextmanager
def whole_folder(out_dir: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``out_dir`` when all went well.

    What lay there before is removed then, and not before.
    """
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    part = out_dir.with_name(f'.{out_dir.name}.{os.getpid()}.part')
    try:
        yield part
        _swap_in(part, out_dir)
    finally:  # also when interrupted
        shutil.rmtree(part, ignore_errors=True)


def _swap_in(part: Path, out_dir: Path) -> None:
    old = part.with_suffix('.old')
    if out_dir.exists():
        out_dir.rename(old)
    part.rename(out_dir)
    shutil.rmtree(old, ignore_errors=True)


def synthetic_info(out_dir: Path, file: str, description: str) -> dict | None:
    """Arguments that the data set in ``out_dir`` was made with, None if nothing is there.

    Args:
        out_dir (Path): The data set, or nothing, or an empty folder.
        file (str): The json in it that has ``info``.
        description (str): Of the kind of data set, ``info['description']``.

    Raises:
        FileExistsError: Something else lies there.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return None
    try:
        info = json.loads((out_dir / file).read_text())['info']
        if info['description'] == description:
            return info
    except (OSError, ValueError, KeyError, TypeError):
        pass
    kind = description.split()[1]
    raise FileExistsError(f'{out_dir} holds something else than synthetic {kind}: name a folder '
                          'that does not exist yet')
