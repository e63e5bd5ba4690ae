"""Sealing: plain images in, a sealed data set out; interrupted at any moment, it goes on."""
from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from mmppvit.annotations.image_names import plain_path
from mmppvit.encryption import DERIVATIONS
from mmppvit.sealed.image_files import (
    check_complete,
    decode_image,
    encode_image,
)
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.journal import WORK, Journal, Progress, locked, read_journal
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    MANIFEST,
    Manifest,
    SealedImage,
    image_folder,
)
from mmppvit.sealed.sources import Source, output_names, read_sources, sealed_annotations
from mmppvit.utils.atomic import write_atomic

__all__ = ['check_output', 'seal_dataset', 'seal_image']


def seal_image(content: bytes, source: Source, name: str, job: SealJob
                 ) -> Iterator[tuple[SealedImage, bytes]]:
    """The sealed files of one plain image, one a scale, and what the manifest says of them.

    Raises:
        OSError: ``content`` is not a whole image.
        ValueError: It is smaller than a patch, or of another size than its json says.
    """
    img = decode_image(content)
    plain = (img.shape[1], img.shape[0])
    if source.size is not None and source.size != plain:
        raise ValueError(f'it is {plain[0]}x{plain[1]} (after its EXIF turn, if it has one) and '
                         'its json says {}x{}, so its boxes do not fit'.format(*source.size))
    for index, scale in enumerate(job.scales):
        scaled = img if scale is None else _rescale(img, scale)
        file = f'{image_folder(job.scales, index)}/{name}'
        encrypted = job.scheme.encrypt(scaled, job.key, file)
        sealed = encode_image(encrypted.img, job.image_format)
        yield SealedImage(
            file=file, source=source.name, scale=index, plain=plain,
            scaled=(scaled.shape[1], scaled.shape[0]),
            size=(encrypted.img.shape[1], encrypted.img.shape[0]),
            bytes=len(sealed), sha256=hashlib.sha256(sealed).hexdigest(),
            nonce=(encrypted.nonce or b'').hex()), sealed


def _rescale(img: np.ndarray, scale: tuple[int, int]) -> np.ndarray:
    """As ``mmcv.imrescale``, which MMDetection's ``Resize(keep_ratio=True)`` calls."""
    height, width = img.shape[:2]
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    size = int(width * float(factor) + .5), int(height * float(factor) + .5)
    return cv2.resize(img, size, interpolation=cv2.INTER_LINEAR)


def seal_dataset(job: SealJob, resume: bool = False, num_workers: int = 0,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> SealReport:
    """Seal all images of ``job``'s shard; the last shard to finish writes the manifest.

    Args:
        job (SealJob): What to do.
        resume (bool): Go on with an interrupted run; what is there is checked, not trusted.
        num_workers (int): Processes; 0 works in this one.
        progress (Callable): Called with the images done and their total, whenever that changes.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The output holds something else, or another run is at work on it.
    """
    sources, annotations = read_sources(job.img_dir, job.ann_file)
    names = output_names(sources, job.image_format)
    asked = job.digest(sources, annotations)
    check_output(job, asked, resume)
    report, problems = SealReport(), {}
    with Journal(job.out, job.shard, asked) as journal:
        mine = range(job.shard[0], len(sources), job.shard[1])
        done = _progress_so_far(job, journal, sources, mine) if resume else {}
        report.kept = sum(len(files) for files in done.values())
        journal.start(done)
        progress(len(done), len(mine))
        todo = ((i, sources[i], names[i]) for i in mine if i not in done)
        for count, (index, files, problem) in enumerate(_run(job, todo, num_workers), 1):
            journal.add(index, files, problem)
            report.written += len(files)
            if problem is not None:
                problems[index] = problem
            progress(len(done) + count, len(mine))
        journal.finish()
    report.skipped = [(sources[i].name, problems[i]) for i in sorted(problems)]
    _assemble(job, asked, sources, names, report)
    return report


def _progress_so_far(job: SealJob, journal: Journal, sources: list[Source],
                     mine: range) -> dict[int, list[dict]]:
    """Files that are there and good, by index; of a finished data set, from its manifest."""
    if journal.path.exists() or not (job.out / MANIFEST).exists():
        return journal.read()
    by_source: dict[str, list[dict]] = {}
    for image in Manifest.load(job.out).images:
        by_source.setdefault(image.source, []).append(asdict(image))
    return journal.still_good(
        {i: by_source[sources[i].name] for i in mine if sources[i].name in by_source})


def check_output(job: SealJob, asked: str, resume: bool) -> None:
    """Refuse an output that holds something else, or what ``resume`` does not fit.

    Args:
        job (SealJob): What to do.
        asked (str): :meth:`SealJob.digest` of it.
        resume (bool): Whether an interrupted run is to go on.

    Raises:
        ValueError: It does.
    """
    if not job.out.exists() or not any(job.out.iterdir()):
        return
    finished = (job.out / MANIFEST).exists()
    of_others = [path.name for path in (job.out / WORK).glob('shard-*.jsonl')
                 if not path.name.endswith(f'-of-{job.shard[1]}.jsonl')]
    if of_others:
        raise ValueError(f'{job.out} was started in another number of shards ({of_others[0]}): '
                         'give the same --shard i/n')
    if not finished and not (job.out / WORK).is_dir():
        raise ValueError(f'{job.out} is not empty and not a sealed data set: choose another --out')
    started = Journal(job.out, job.shard, asked).path.exists()
    if not resume and (finished or started):
        raise ValueError(f'{job.out} holds a {"finished" if finished else "started"} data set: '
                         '--resume goes on with it, or choose another --out')
    for path in (job.out / WORK).glob('shard-*.jsonl'):  # also those of other shards
        read_journal(path, asked)
    if finished and Manifest.load(job.out).job != asked:
        raise ValueError(f'{job.out} was sealed from other images or with other options, so it '
                         'cannot be resumed with these: choose another --out')


# --- the work ------------------------------------------------------------------------------------

_JOB: SealJob | None = None


def _start_process(job: SealJob) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the parent's to report
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _start_worker(job)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold its lock."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _start_worker(job: SealJob) -> None:
    global _JOB
    _JOB = job
    cv2.setNumThreads(1)  # one process a core does better than several threads each


def _seal_one(task: tuple[int, Source, str]) -> tuple[int, list[dict], str | None]:
    """Seal one image and write its files; what to note in the journal about it."""
    index, source, name = task
    try:
        path = plain_path(_JOB.img_dir, source.name)
        check_complete(path)
        sealed = list(seal_image(path.read_bytes(), source, name, _JOB))
    except FileNotFoundError:
        return index, [], 'there is no such file'
    except (OSError, ValueError, TypeError, cv2.error) as err:
        return index, [], ' '.join(str(err).split())
    for image, content in sealed:  # a full disk is not the image's fault: that error is raised
        write_atomic(_JOB.out / image.file, content)
    return index, [asdict(image) for image, _ in sealed], None


def _run(job: SealJob, tasks: Iterator, num_workers: int) -> Iterator[tuple]:
    """Results as they come; never more than a few images are under way."""
    if num_workers == 0:
        _start_worker(job)
        yield from map(_seal_one, tasks)
        return
    # Forked workers start at once. Where that is not safe they read the key from its file again.
    method = 'fork' if sys.platform == 'linux' else 'spawn'
    with ProcessPoolExecutor(num_workers, multiprocessing.get_context(method),
                             _start_process, (job, )) as pool:
        try:
            pending = {pool.submit(_seal_one, task) for task in islice(tasks, 4 * num_workers)}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending |= {pool.submit(_seal_one, t) for t in islice(tasks, len(finished))}
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise RuntimeError('a worker process was killed, perhaps for want of memory: --resume '
                               'with fewer --num-workers') from None
        finally:
            pool.shutdown(cancel_futures=True)


# --- the end -------------------------------------------------------------------------------------


def _assemble(job: SealJob, asked: str, sources: list[Source], names: list[str],
              report: SealReport) -> None:
    """Write json and manifest if all shards are through; the same bytes whoever does it."""
    journals = [Journal(job.out, (i, job.shard[1]), asked).path for i in range(job.shard[1])]
    try:
        with locked(job.out / WORK / 'end.lock'):  # two shards may get here at the same time
            parts = [read_journal(path, asked) for path in journals]
            if all(part.through for part in parts):
                _write_end(job, asked, sources, names, report, parts)
    except FileNotFoundError:  # another shard is not through, or has just done this
        report.complete = (job.out / MANIFEST).exists() and not journals[job.shard[0]].exists()


def _write_end(job: SealJob, asked: str, sources: list[Source], names: list[str],
               report: SealReport, parts: list[Progress]) -> None:
    files = {i: entries for part in parts for i, entries in part.files.items()}
    problems = {i: why for part in parts for i, why in part.problems.items() if i not in files}
    annotations = None
    if job.ann_file is not None:
        kept = {sources[i].in_json: names[i] for i in files}
        content, report.dropped_fields = sealed_annotations(job.ann_file, kept)
        write_atomic(job.out / ANNOTATIONS, content)
        annotations = hashlib.sha256(content).hexdigest()
    images = [SealedImage(**entry) for scale in range(len(job.scales))
                for i in sorted(files) for entry in files[i] if entry['scale'] == scale]
    if not images:
        raise ValueError('no image could be sealed; the first reason: '
                         f'{sources[min(problems)].name}: {problems[min(problems)]}')
    Manifest(
        root=job.out, scheme=job.scheme, image_format=job.image_format,
        scales=list(job.scales), job=asked, annotations=annotations, images=images,
        key=job.key and dict(fingerprint=job.key.fingerprint, derivation=DERIVATIONS[-1]),
        skipped=[(sources[i].name, problems[i]) for i in sorted(problems)]).save(job.key)
    _remove_leftovers(job.out)
    report.complete = True


def _remove_leftovers(out: Path) -> None:
    """Journals, and temporary files of runs that were killed."""
    shutil.rmtree(out / WORK, ignore_errors=True)
    for folder, _, files in os.walk(out):
        for name in files:
            if name.startswith('.tmp-') and not Path(name).suffix:  # an image may be called so
                (Path(folder) / name).unlink(missing_ok=True)
