"""A sealed data set whose manifest is lost, empty or damaged is made whole again."""
from __future__ import annotations

import shutil
from collections.abc import Callable

from mmppvit.sealed.entries import ManifestError, image_folder
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.journal import WORK
from mmppvit.sealed.manifest import MANIFEST, Manifest
from mmppvit.sealed.tar_shards import SHARDS
from mmppvit.sealed.writer import seal_dataset

__all__ = ['repair_dataset']


def repair_dataset(job: SealJob, num_workers: int = 0,
                   progress: Callable[[int, int], None] = lambda done, total: None) -> SealReport:
    """Rebuild the manifest, and repair files that are missing or not what was sealed.

    Every image is derived again from its plain one: a file that has the very bytes is kept, any
    other is written anew, so that nothing that somebody put there gets signed. What the key's
    holder signed is taken as it is, as far as it can be read.

    Args:
        job (SealJob): As it was when the set was sealed; ``counter`` at least what it was.
        num_workers (int): Processes; 0 works in this one.
        progress (Callable): Called with the images done and their total.

    Raises:
        ValueError: The output folder is not that of such a data set, or its manifest is one of
            another key.
    """
    if (job.out / SHARDS).is_dir():  # before anything is removed: shards are not sealed anew
        raise ValueError(f'{job.out} is packed into shards, or is being packed, which repair '
                         'cannot rebuild: seal --container wds --resume goes on with an '
                         'interrupted run; else restore it, or seal into another --out')
    folders = [image_folder(list(job.scales), i) for i in range(len(job.scales))]
    if not any((job.out / folder).is_dir() for folder in folders) and \
            not (job.out / MANIFEST).is_file():
        raise ValueError(f'{job.out} has neither {MANIFEST} nor {folders[0]}: it is not a data set '
                         'that was sealed with these options')
    if not _is_authentic(job):
        (job.out / MANIFEST).unlink(missing_ok=True)
        if not (job.out / WORK).is_symlink():
            shutil.rmtree(job.out / WORK, ignore_errors=True)
        (job.out / WORK).mkdir(exist_ok=True)
    return seal_dataset(job, True, num_workers, progress)


def _is_authentic(job: SealJob) -> bool:
    try:
        manifest = Manifest.load(job.out)
    except ManifestError:
        return False
    theirs = manifest.key and manifest.key['fingerprint']
    ours = job.key and job.key.fingerprint
    if theirs != ours:  # every image would be sealed anew, under the wrong key
        raise ValueError(f'{job.out} was sealed {_with(theirs)}, and this is {_with(ours)}: give '
                         f'its own, or remove {MANIFEST} to seal all of it anew')
    if job.key is None:
        return True
    try:
        manifest.check_key(job.key)
    except ManifestError:
        return False
    return True


def _with(fingerprint: str | None) -> str:
    return 'without a key' if fingerprint is None else f'with the key of fingerprint {fingerprint}'
