"""Files that appear whole or not at all.

mmengine's ``LocalBackend`` writes in place: a run that is killed while it saves leaves a torn
checkpoint under the final name.
"""
import os
import tempfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

__all__ = ['AtomicLocalBackend']


@register_backend('atomic_local', force=True)
class AtomicLocalBackend(LocalBackend):
    """The local file system, with files that are moved into place when they are complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write ``obj`` to a temporary file beside ``filepath``, flush it to disk and rename it."""
        folder = os.path.dirname(os.path.abspath(filepath))
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            prefix=f'.{os.path.basename(filepath)}.', suffix='.tmp', dir=folder)
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            # mkstemp makes files for their owner alone; checkpoints are made as open() would.
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, filepath)
        except BaseException:
            os.unlink(temporary)
            raise


def _umask() -> int:
    """The umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
