"""COCO jsons from files, checked."""
from __future__ import annotations

import hashlib
from pathlib import Path

from mmppvit.annotations.coco_check import check_coco
from mmppvit.annotations.findings import CheckReport
from mmppvit.annotations.json_stream import read_lists
from mmppvit.annotations.json_text import parse_json
from mmppvit.utils.regular_files import open_regular, read_regular

__all__ = ['AnnotationError', 'check_file', 'checked_coco', 'file_digest', 'parse_coco',
           'read_coco', 'stream_coco']


class AnnotationError(ValueError):
    """A COCO json that cannot be used; the message names every kind of fault in one line."""


def parse_coco(content: bytes, name: str) -> tuple[dict, CheckReport]:
    """As :func:`read_coco`, of what a file holds; ``name`` is for messages."""
    try:
        data = parse_json(content)
    except ValueError as err:
        raise AnnotationError(f'{name} is not a COCO annotation file: {err}') from None
    return checked_coco(data, name)


def checked_coco(data: object, name: str) -> tuple[dict, CheckReport]:
    """As :func:`read_coco`, of a json that is parsed already; ``data`` may be changed."""
    return _accepted(*check_coco(data, name))


def _accepted(data: dict, report: CheckReport) -> tuple[dict, CheckReport]:
    if report.refused:
        raise AnnotationError(report.error())
    return data, report


def read_coco(path: str | Path) -> tuple[dict, CheckReport]:
    """A COCO data set, checked and corrected.

    Returns:
        tuple: The data set, fit for MMDetection and pycocotools, and what was found in it.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be read.
        AnnotationError: It cannot be used.
    """
    return parse_coco(_read(path), str(path))


def stream_coco(path: str | Path) -> tuple[dict, CheckReport, str]:
    """As :func:`read_coco`, in little memory: images and annotations are `PackedItems`.

    Returns:
        tuple: The data set, what was found in it, and the SHA-256 of the file.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be read.
        AnnotationError: It cannot be used, or changed while it was read.
    """
    digest = file_digest(path)
    try:
        with open_regular(path) as file:
            data = read_lists(file, ('images', 'annotations'))
        found = check_coco(data, str(path))  # packs items anew: what is nested deep may fail here
    except (ValueError, RecursionError):  # the whole text tells what is wrong with it
        found = read_coco(path)
    except OSError as err:
        raise _unreadable(path, err) from None
    if file_digest(path) != digest:
        raise AnnotationError(f'{path} changed while it was read: try again')
    return *_accepted(*found), digest


def file_digest(path: str | Path) -> str:
    """The SHA-256 of a json.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be read.
    """
    try:
        with open_regular(path) as file:
            digest = hashlib.sha256()
            while part := file.read(2**20):
                digest.update(part)
            return digest.hexdigest()
    except OSError as err:
        raise _unreadable(path, err) from None


def check_file(path: str | Path) -> CheckReport:
    """Everything that is wrong with a COCO json, also if it cannot be used.

    Raises:
        FileNotFoundError: There is no such file, or it cannot be read.
    """
    content = _read(path)
    try:
        return check_coco(parse_json(content), str(path))[1]
    except ValueError as err:
        report = CheckReport(str(path))
        report.refuse('file that is not a COCO annotation file', str(err))
        return report


def _read(path: str | Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as err:
        raise _unreadable(path, err) from None


def _unreadable(path: str | Path, err: OSError) -> FileNotFoundError:
    return FileNotFoundError(f'no annotation file {path} that can be read: {err.strerror}')
