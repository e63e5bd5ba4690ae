"""Sealing: plain images in, a sealed data set out; interrupted at any moment, it goes on."""
from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmppvit.encryption import DERIVATIONS, padded_shape
from mmppvit.sealed.clipping import Clipping
from mmppvit.sealed.entries import SealedImage, image_folder
from mmppvit.sealed.image_files import encode_image, path_within
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.journal import WORK, Progress, locked
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, Manifest
from mmppvit.sealed.resume import Plan, kept_files, make_plan
from mmppvit.sealed.sealed_metadata import seal_metadata
from mmppvit.sealed.source_reader import SourceReader, input_remarks
from mmppvit.sealed.sources import Source, sealed_annotations
from mmppvit.sealed.staging import commit, put_in_place, remove_leftovers
from mmppvit.sealed.weakening import LookAlikes, joined_sets, look_of
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.regular_files import read_regular
from mmppvit.utils.user_errors import RunError

__all__ = ['seal_dataset', 'seal_image']


def seal_image(img: np.ndarray, content: bytes, source: Source, name: str, job: SealJob,
               clipping: Clipping | None = None) -> Iterator[tuple[SealedImage, bytes]]:
    """The sealed files of one plain image, one a scale, and what the manifest says of them.

    Args:
        img (ndarray): uint8, (H, W, 3), BGR: the decoded ``content``.
        content (bytes): Of the plain file.
        source (Source): Its name.
        name (str): Of the sealed files, below the folder of their scale.
        job (SealJob): How to seal.
        clipping (Clipping, optional): Gets what was encrypted.

    Raises:
        ValueError: It is smaller than a patch, or would be scaled to nothing.
    """
    plain = (img.shape[1], img.shape[0])
    mac = job.plain_mac(source.name, content)
    for index, scale in enumerate(job.scales):
        scaled = _rescale(img, scale, job)
        file = f'{image_folder(job.scales, index)}/{name}'
        encrypted = job.scheme.encrypt(scaled, job.key, file, job.pad_val)
        if clipping is not None:
            clipping.look(encrypted.img)
        sealed = encode_image(encrypted.img, job.image_format)
        yield SealedImage(
            file=file, source=job.public_name(source.name), scale=index, plain=plain,
            scaled=(scaled.shape[1], scaled.shape[0]),
            size=(encrypted.img.shape[1], encrypted.img.shape[0]),
            bytes=len(sealed), sha256=hashlib.sha256(sealed).hexdigest(),
            nonce=(encrypted.nonce or b'').hex(), plain_mac=mac), sealed


def _rescale(img: np.ndarray, scale: tuple[int, int] | None, job: SealJob) -> np.ndarray:
    """To the size that the job asks for, in one step; the same array if it has that."""
    plain = img.shape[1], img.shape[0]
    size = plain if scale is None else _fit_into(plain, scale)
    if job.border == 'fit':
        size = _whole_patches(size, job.scheme.patch_size)
    return img if size == plain else cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)


def _fit_into(plain: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
    """As ``mmcv.imrescale``, which MMDetection's ``Resize(keep_ratio=True)`` calls."""
    width, height = plain
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    size = int(width * float(factor) + .5), int(height * float(factor) + .5)
    if not all(size):
        raise ValueError(f'it is {width}x{height}, of which fitting into {scale[0]}x{scale[1]} '
                         f'would leave {size[0]}x{size[1]}: leave it out, or --scale larger')
    return size


def _whole_patches(size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """The nearest size of whole patches, by which a side changes by half a patch at most."""
    padded_shape(size[::-1], patch_size)  # what is smaller than a patch is refused, not enlarged
    return tuple((side + patch_size // 2) // patch_size * patch_size for side in size)


def seal_dataset(job: SealJob, resume: bool = False, num_workers: int = 0,
                 progress: Callable[[int, int], None] = lambda done, total: None, *,
                 update: bool = False, remove: bool = False) -> SealReport:
    """Seal all images of ``job``'s shard; the last shard to finish writes the manifest.

    Args:
        job (SealJob): What to do.
        resume (bool): Go on with an interrupted run; what is there is checked, not trusted. See
            :mod:`mmppvit.sealed.resume` for what is kept.
        num_workers (int): Processes; 0 works in this one.
        progress (Callable): Called with the images done and their total, whenever that changes.
        update (bool): The finished set in the output folder gets the images that the job has now:
            new ones, and changed ones sealed again. Until all is done and on the disk, it stays as
            it was; an interrupted update goes on.
        remove (bool): An update takes out images that the job has no more.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: An update would take images out unasked, or has other options than the set. The
            output holds something else, or another run is at work on it.
        ManifestError: A finished set that is to be resumed was not signed by the job's key.
    """
    plan = make_plan(job, resume, update, remove)
    resume = resume or update
    job, sources, names = plan.job, plan.sources, plan.names
    report = SealReport(warnings=joined_sets(job, [source.name for source in sources]),
                        remarks=input_remarks(job.img_dir, job.ann_file))
    mine = range(job.shard[0], len(sources), job.shard[1])
    if plan.finished is not None and job.shard[1] > 1 and plan.finished.job in (plan.asked,
                                                                                plan.old):
        return _check_finished(plan, mine, report)
    problems = {}
    with plan.journal(job.shard[0]) as journal:
        done = kept_files(plan, mine) if resume else {}
        if update:
            _check_same_result(plan, done)
        report.kept = sum(len(files) for files in done.values())
        journal.start(done)
        progress(len(done), len(mine))
        todo = ((i, sources[i], names[i]) for i in mine if i not in done)
        looks, clipping = LookAlikes(job), Clipping(job.scheme)
        for count, result in enumerate(_run(job, resume, plan, todo, num_workers), 1):
            journal.add(result.index, result.files, result.problem)
            report.written += len(result.files) - result.kept
            report.kept += result.kept
            looks.add(sources[result.index].name, result.look)
            clipping.add(*result.clipped)
            report.remarks += [f'{sources[result.index].name}: {remark}'
                               for remark in result.remarks]
            if result.problem is not None:
                problems[result.index] = result.problem
            progress(len(done) + count, len(mine))
        journal.finish()
    if plan.absent:
        report.remarks.append(f'{len(plan.absent)} plain images are not there, e.g. '
                              f'{plan.absent[0]}: their sealed files stay as they are')
    report.warnings += [*looks.warnings(), *clipping.warnings()]
    report.clipped = clipping.share
    report.skipped = [(sources[i].name, problems[i]) for i in sorted(problems)]
    _assemble(plan, report)
    return report


def _check_finished(plan: Plan, mine: range, report: SealReport) -> SealReport:
    """Of one part of a finished set: nothing is left to do, or it has to be done in one."""
    done = kept_files(plan, mine)
    report.kept = sum(len(files) for files in done.values())
    if len(done) < len(mine):
        raise ValueError(f'{plan.job.out} is finished, and {len(mine) - len(done)} images of shard '
                         '{}/{} were skipped, have changed or cannot be checked: --resume without '
                         '--shard repairs them'.format(*plan.job.shard))
    report.complete = True
    return report


def _check_same_result(plan: Plan, done: dict[int, list[SealedImage]]) -> None:
    """Seal an image that is kept once more: what does not show in a manifest may be another.

    Raises:
        ValueError: The result differs, by --window or by another version of OpenCV.
    """
    job, reader = plan.job, SourceReader(plan.job.img_dir, plan.job.ann_file, plan.job.window)
    absent = set(plan.absent)
    for i in (i for i in done if plan.sources[i].name not in absent):
        plain = reader.read(plan.sources[i])
        again = [image for image, _ in seal_image(plain.img, plain.content, plan.sources[i],
                                                  plan.names[i], job)]
        if [image.sha256 for image in again] != [image.sha256 for image in done[i]]:
            raise ValueError(f'{plan.sources[i].name} would be sealed otherwise now than it was: '
                             'give the --window that it was sealed with, or seal into another '
                             '--out if this is another version of OpenCV')
        return


# --- the work ------------------------------------------------------------------------------------

class _Result(NamedTuple):
    """Of one image: its files, how many of them were there already, or why it was skipped.

    ``clipped``: values at the ends of the range, of how many.
    """
    index: int
    files: list[SealedImage]
    problem: str | None = None
    kept: int = 0
    look: int | None = None
    remarks: tuple[str, ...] = ()
    clipped: tuple[int, int] = (0, 0)


_JOB: SealJob | None = None
_READER: SourceReader | None = None
_RESUME = False
_PLACES: tuple[Path, ...] = ()  # where a sealed file may be: the first is written to


def _start_process(job: SealJob, resume: bool, places: tuple[Path, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's to report
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _start_worker(job, resume, places)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold its lock."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _start_worker(job: SealJob, resume: bool, places: tuple[Path, ...]) -> None:
    global _JOB, _READER, _RESUME, _PLACES
    _JOB, _RESUME, _PLACES = job, resume, places
    _READER = SourceReader(job.img_dir, job.ann_file, job.window)
    cv2.setNumThreads(1)  # one process a core does better than several threads each


def _seal_one(task: tuple[int, Source, str]) -> _Result:
    """Seal one image and write its files; what to note in the journal about it."""
    index, source, name = task
    clipping = Clipping(_JOB.scheme)
    try:
        plain = _READER.read(source)
        sealed = list(seal_image(plain.img, plain.content, source, name, _JOB, clipping))
    except FileNotFoundError:
        return _Result(index, [], 'there is no such file')
    except cv2.error:
        return _Result(index, [], f'OpenCV cannot scale or store its {plain.img.shape[1]}x'
                                  f'{plain.img.shape[0]} pixels')
    except (OSError, ValueError, TypeError) as err:
        return _Result(index, [], _reason(err, source.name))
    kept = 0
    try:
        for image, content in sealed:
            if _RESUME and _is_there(image, content):
                kept += 1
            else:
                write_atomic(path_within(_PLACES[0], image.file), content)
    except OSError as err:  # a full disk is not the image's fault: that error is raised
        if err.errno not in _FAULTS_OF_NAMES:
            raise
        return _Result(index, [], f'its name cannot be given to a sealed file: {err.strerror}')
    return _Result(index, [image for image, _ in sealed], None, kept, look_of(plain.img, _JOB),
                   plain.remarks, (clipping.ends, clipping.values))


_FAULTS_OF_NAMES = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOTDIR, errno.EISDIR,
                    errno.EEXIST)


def _is_there(image: SealedImage, content: bytes) -> bool:
    """Whether the newest file of the name has the very bytes."""
    for place in _PLACES:
        try:
            return read_regular(path_within(place, image.file), len(content)) == content
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return False


def _reason(err: Exception, name: str) -> str:
    """What is wrong with an image, without folders and names: the manifest is handed over."""
    text = ' '.join(str(getattr(err, 'strerror', None) or err).split())
    for folder in sorted({str(path) for given in (_JOB.img_dir, _JOB.out)
                          for path in (given, given.absolute(), given.resolve())},
                         key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(folder, '...')
    text = text.replace(name, '...').replace('.../...', '...')
    return re.sub(r"""(?<![\w.])(?:/|[A-Za-z]:\\)[^\s'",;:()]+""", '...', text)


def _run(job: SealJob, resume: bool, plan: Plan, tasks: Iterator, num_workers: int
         ) -> Iterator[_Result]:
    """Results as they come; never more than a few images are under way."""
    places = tuple(dict.fromkeys((plan.target, job.out)))
    if num_workers == 0:
        _start_worker(job, resume, places)
        yield from map(_seal_one, tasks)
        return
    # Forked workers start at once. Where that is not safe they read the key from its file again.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context(method),
                             _start_process, (job, resume, places)) as pool:
        try:
            pending = {pool.submit(_seal_one, task) for task in islice(tasks, 4 * num_workers)}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending |= {pool.submit(_seal_one, t) for t in islice(tasks, len(finished))}
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise RunError('a worker process was killed, perhaps for want of memory: --resume '
                           'with fewer --num-workers') from None
        finally:
            pool.shutdown(cancel_futures=True)


# --- the end -------------------------------------------------------------------------------------


def _assemble(plan: Plan, report: SealReport) -> None:
    """Write json and manifest if all shards are through; the same bytes whoever does it."""
    job, count = plan.job, plan.job.shard[1]
    journals = [plan.journal(part) for part in range(count)]
    try:
        with locked(job.out / WORK / 'end.lock'):  # two shards may get here at the same time
            parts = [journal.read(job.scheme, job.scales) for journal in journals]
            # A line that was taken away from a journal must not take an image out of the set.
            if all(part.covers(range(i, len(plan.sources), count)) for i, part in enumerate(parts)):
                _write_end(plan, report, parts)
                return
    except FileNotFoundError:  # another shard has just done this
        pass
    report.complete = (job.out / MANIFEST).exists() and not journals[job.shard[0]].path.exists()


def _write_end(plan: Plan, report: SealReport, parts: list[Progress]) -> None:
    job, sources = plan.job, plan.sources
    files = {i: images for part in parts for i, images in part.files.items()}
    problems = {i: why for part in parts for i, why in part.problems.items() if i not in files}
    images = [image for scale in range(len(job.scales)) for i in sorted(files)
              for image in files[i] if image.scale == scale]
    if not images:
        raise ValueError('no image could be sealed; the first reason: '
                         f'{sources[min(problems)].name}: {problems[min(problems)]}')
    _check_nothing_is_lost(plan, images)
    manifest = Manifest(
        root=plan.target, scheme=job.scheme, image_format=job.image_format,
        scales=list(job.scales), job=plan.asked, images=images,
        key=job.key and dict(fingerprint=job.key.fingerprint, derivation=DERIVATIONS[-1]),
        skipped=[(job.public_name(sources[i].name), problems[i]) for i in sorted(problems)],
        name=job.name, role=job.role, padding=job.border)
    content = None
    if job.ann_file is not None:
        kept = {sources[i].in_json: plan.names[i] for i in files}
        content, report.dropped_fields = sealed_annotations(job.ann_file, kept)
    if job.seal_metadata:
        seal_metadata(manifest, content and json.loads(content), job.key)
    elif content is not None:
        write_atomic(plan.target / ANNOTATIONS, content, sync=True)
        manifest.annotations = hashlib.sha256(content).hexdigest()
    manifest.counter = _counter(plan, manifest)
    # All that it lists is on the disk by now.
    if plan.finished is None:
        manifest.save(job.key)
        remove_leftovers(job.out)
    else:
        commit(manifest, job.key, job.out, plan.finished)
        put_in_place(job.out, job.key)
        report.removed = sorted({image.source for image in plan.finished.images}
                                - {image.source for image in images})
    report.complete = True


def _check_nothing_is_lost(plan: Plan, images: list[SealedImage]) -> None:
    if not plan.update or plan.remove:
        return
    lost = {image.source for image in plan.finished.images} - {image.source for image in images}
    if lost:
        raise ValueError(f'{len(lost)} images of {plan.job.out} cannot be sealed again, e.g. '
                         f'{min(lost)!r:.80}; it stays as it is. Restore them and --update, or '
                         '--remove takes them out')


def _counter(plan: Plan, manifest: Manifest) -> int:
    """One more than before if the set has changed, so that an older copy can be told."""
    before = plan.finished
    if before is None:
        return plan.job.counter
    same = before.version == manifest.version and all(
        getattr(before, name) == getattr(manifest, name)
        for name in ('images', 'skipped', 'annotations', 'sealed_metadata'))
    return max(plan.job.counter, before.counter + (not same))
