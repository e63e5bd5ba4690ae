"""What happened since the last snapshot, so that a host that is killed goes on where it was."""
from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from mmppvit.two_party.messages import MAX_MESSAGE

__all__ = ['RequestJournal']

_RECORD = struct.Struct('>Q32s')  # length, SHA-256


class RequestJournal:
    """Requests one after the other in a file; a torn end counts as not written.

    Args:
        path (Path): The file; it is made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = sum(_RECORD.size + len(record) for record in self.read())

    def read(self) -> Iterator[bytes]:
        """The requests, as far as they are whole."""
        try:
            with open(self.path, 'rb') as file:
                while len(prefix := file.read(_RECORD.size)) == _RECORD.size:
                    length, digest = _RECORD.unpack(prefix)
                    if length > MAX_MESSAGE:  # that much memory would be taken at once
                        return
                    record = file.read(length)
                    if len(record) != length or hashlib.sha256(record).digest() != digest:
                        return
                    yield record
        except FileNotFoundError:
            return

    def append(self, request: bytes) -> None:
        """Add a request; it is there as a whole, or, if this raises, not at all.

        Raises:
            OSError: The disk is full, or fails.
        """
        record = _RECORD.pack(len(request), hashlib.sha256(request).digest()) + request
        flags = os.O_WRONLY | os.O_CREAT
        with open(os.open(self.path, flags, 0o600), 'wb', buffering=0) as file:
            file.truncate(self.size)  # what an earlier failure left
            file.seek(self.size)
            written = file.write(record)
            if written != len(record):
                raise OSError(f'{self.path}: {written} of {len(record)} bytes could be written')
        self.size += len(record)
