"""Checkpoints that appear whole or not at all.

mmengine's ``LocalBackend`` writes in place: a run that is killed while it saves leaves a torn
checkpoint under the final name.
"""
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmppvit.utils.atomic import write_atomic

__all__ = ['AtomicLocalBackend']


@register_backend('atomic_local', force=True)
class AtomicLocalBackend(LocalBackend):
    """The local file system, with files that are moved into place when they are complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to a temporary file beside ``filepath``, flush it to disk and rename it."""
        write_atomic(filepath, obj, sync=True)
