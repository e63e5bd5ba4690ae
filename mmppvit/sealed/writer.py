"""Sealing: plain images in, a sealed data set out; interrupted at any moment, it goes on."""
from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmppvit.encryption import DERIVATIONS
from mmppvit.encryption.key_sources import KeySource
from mmppvit.sealed.clipping import Clipping
from mmppvit.sealed.engines import ENGINES, Engine, make_order
from mmppvit.sealed.entries import SealedImage, image_folder
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.journal import END_LOCK, WORK, JournalIndex, locked
from mmppvit.sealed.manifest import ANNOTATIONS, MANIFEST, Manifest
from mmppvit.sealed.resume import Plan, files_of_manifest, kept_files, make_plan
from mmppvit.sealed.seal_images import Result, Task, seal_image
from mmppvit.sealed.seal_to_shards import move_into_shards
from mmppvit.sealed.sealed_metadata import seal_metadata
from mmppvit.sealed.source_reader import SourceReader, input_remarks
from mmppvit.sealed.sources import Annotations, forget_annotations
from mmppvit.sealed.staging import commit, put_in_place, remove_leftovers, remove_unused
from mmppvit.sealed.tar_shards import SHARDS
from mmppvit.sealed.weakening import LookAlikes, joined_sets
from mmppvit.utils.atomic import replace_file
from mmppvit.utils.printable import printable

__all__ = ['seal_dataset']

Progress = Callable[[int, int], None]


def seal_dataset(job: SealJob, resume: bool = False, num_workers: int = 0,
                 progress: Progress = lambda done, total: None, *,
                 update: bool = False, remove: bool = False, engine: str = 'local',
                 address: str | None = None, key_source: KeySource | None = None,
                 packing: Progress = lambda done, total: None) -> SealReport:
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
        engine (str): Who runs the workers: 'local', 'dask' or 'ray', see
            :mod:`mmppvit.sealed.engines`.
        address (str, optional): Of a cluster of the engine; without it, it starts ``num_workers``
            on this machine.
        key_source (KeySource, optional): Where workers of dask and ray find the job's key; by
            default in the file that it was read from.
        packing (Callable): As ``progress``, for sealed files that move into tar shards; not called
            where there are none.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: An update would take images out unasked, or has other options than the set. The
            output holds something else, or another run is at work on it.
        ManifestError: A finished set that is to be resumed was not signed by the job's key.
    """
    run: Engine = ENGINES[engine](address)
    while True:
        plan = make_plan(job, resume, update, remove)
        report = _sealed(plan, resume or update, num_workers, progress, run, key_source, packing)
        if report is not None:
            return report
        remove_unused(job.out)  # what this run has made in a set that another has finished


def _sealed(plan: Plan, resume: bool, num_workers: int, progress: Progress, run: Engine,
            key_source: KeySource | None, packing: Progress) -> SealReport | None:
    """As `seal_dataset`; None if another run has finished the set meanwhile."""
    order = make_order(plan.job, resume, (plan.target, plan.job.out), key_source)
    job, sources = plan.job, plan.sources
    report = SealReport(warnings=joined_sets(job, sources),
                        remarks=input_remarks(job.img_dir, job.ann_file))
    forget_annotations()  # it is read again at the end, and not kept until then
    mine = range(job.shard[0], len(sources), job.shard[1])
    if plan.finished is not None and plan.finished.packed is not None:
        return _check_packed(plan, mine, report)
    if resume and _is_being_packed(plan):
        own = _parts(plan)[job.shard[0]]
        report.skipped = [(sources[i].name, own.problems[i]) for i in sorted(own.problems)]
        report.kept = (len(mine) - len(report.skipped)) * len(job.scales)
        _assemble(plan, report, packing)
        return report
    if plan.finished is not None and job.shard[1] > 1 and plan.finished.job in (plan.asked,
                                                                                plan.old):
        return _check_finished(plan, mine, report, lambda tasks: run(
            replace(order, places=(job.out.absolute(), ), write=False), tasks, num_workers))
    problems = {}
    with plan.journal(job.shard[0]) as journal:
        if plan.is_overtaken():
            return None
        done: Mapping[int, list[SealedImage]] = kept_files(plan, mine) if resume else {}
        if plan.update:
            _check_same_result(plan, done)
        report.kept = len(done) * len(job.scales)
        journal.start(done.items())
        progress(len(done), len(mine))
        todo = plan.tasks(i for i in mine if i not in done)
        looks, clipping = LookAlikes(job), Clipping(job.scheme)
        for count, result in enumerate(run(order, todo, num_workers), 1):
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
        journal.finish(f'{image_folder(job.scales, scale)}/{plan.names[i]}' for i in mine
                       if i not in problems for scale in range(len(job.scales)))
    if plan.absent:
        report.remarks.append(f'{len(plan.absent)} plain images are not there, e.g. '
                              f'{plan.absent[0]}: their sealed files stay as they are')
    report.warnings += [*looks.warnings(), *clipping.warnings()]
    report.clipped = clipping.share
    report.skipped = [(sources[i].name, problems[i]) for i in sorted(problems)]
    _assemble(plan, report, packing)
    return report


def _check_packed(plan: Plan, mine: range, report: SealReport) -> SealReport:
    """Of a finished set of shards: nothing is left to do, or nothing can be done."""
    remove_leftovers(plan.job.out)  # also where nothing else can be done: of a killed run
    missing = plan.finished.missing_files()
    if missing:
        raise ValueError(f'{plan.job.out} is finished, and {printable(missing[0])} is missing or '
                         'of another length: shards cannot be repaired, so restore it, or seal '
                         'into another --out')
    report.skipped = plan.skipped(mine)
    report.kept = (len(mine) - len(report.skipped)) * len(plan.job.scales)
    report.complete = True
    return report


def _is_being_packed(plan: Plan) -> bool:
    """Whether all is sealed, and a run was killed while it moved images into shards.

    Nothing in a journal is known to be true without a key: then all is sealed again.
    """
    job = plan.job
    return (job.container == 'wds' and job.key is not None and (job.out / SHARDS).is_dir()
            and all(part.covers() for part in _parts(plan)))


def _check_finished(plan: Plan, mine: range, report: SealReport,
                    compare: Callable[[Iterator[Task]], Iterator[Result]]) -> SealReport:
    """Of one part of a finished set: nothing is left to do, or it has to be done in one."""
    if plan.job.key is not None:
        done: Collection[int] = kept_files(plan, mine)
    else:
        known = files_of_manifest(plan)
        tasks = plan.tasks(i for i in mine if i in known)
        done = [result.index for result in compare(tasks) if result.problem is None
                and result.kept == len(result.files) and result.files == known[result.index]]
    report.skipped = plan.skipped(mine)
    report.kept = len(done) * len(plan.job.scales)
    other = len(mine) - len(done) - len(report.skipped)
    if other > 0:
        raise ValueError(f'{plan.job.out} is finished, and {other} images of shard '
                         '{}/{} have changed or cannot be checked: --resume without '
                         '--shard repairs them'.format(*plan.job.shard))
    report.complete = True
    return report


def _check_same_result(plan: Plan, done: Mapping[int, list[SealedImage]]) -> None:
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


# --- the end -------------------------------------------------------------------------------------


def _assemble(plan: Plan, report: SealReport, packing: Progress) -> None:
    """Write json and manifest if all shards are through; the same bytes whoever does it."""
    job = plan.job
    journal = plan.journal(job.shard[0])
    try:
        # Two shards may get here at the same time, or one begins anew: who is at work does this.
        with locked(job.out / END_LOCK), ExitStack() as held:
            parts = _parts(plan) if _nobody_is_at_work(plan, held) else []
            # A line that was taken away from a journal must not take an image out of the set.
            if parts and all(part.covers() for part in parts):
                _write_end(plan, report, parts, packing)
                return
    except FileNotFoundError:
        if (job.out / WORK).is_dir():
            raise
        # Another shard has just done this.
    report.complete = (job.out / MANIFEST).exists() and not journal.path.exists()


def _nobody_is_at_work(plan: Plan, held: ExitStack) -> bool:
    """Whether ``held`` could take the locks of all parts."""
    try:
        for i in range(plan.job.shard[1]):
            held.enter_context(plan.journal(i).alone())
    except BlockingIOError:
        return False
    return True


def _parts(plan: Plan) -> list[JournalIndex]:
    count = plan.job.shard[1]
    return [JournalIndex(plan.journal(i), range(i, len(plan.sources), count), plan.job.scheme,
                         plan.job.scales) for i in range(count)]


class _Images(Sequence):
    """All sealed images, scale by scale in the order of their sources, read from the journals."""

    def __init__(self, parts: list[JournalIndex], num_scales: int) -> None:
        self._parts, self._scales = parts, num_scales
        self._indices = array('q', sorted(i for part in parts for i in part.sealed()))

    def __len__(self) -> int:
        return len(self._indices) * self._scales

    def __getitem__(self, index: int) -> SealedImage:
        scale, place = divmod(range(len(self))[index], len(self._indices))
        i = self._indices[place]
        return self._parts[i % len(self._parts)].files(i)[scale]

    def names(self, plan: Plan) -> Iterator[str | None]:
        """Of the sealed file of every source; None of those that have none."""
        place = 0
        for i, name in enumerate(plan.names):
            sealed = place < len(self._indices) and self._indices[place] == i
            place += sealed
            yield name if sealed else None


def _write_end(plan: Plan, report: SealReport, parts: list[JournalIndex], packing: Progress
               ) -> None:
    job, sources = plan.job, plan.sources
    problems = {i: why for part in parts for i, why in part.problems.items()}
    images: Sequence[SealedImage] = _Images(parts, len(job.scales))
    if not images:
        raise ValueError('no image could be sealed; the first reason: '
                         f'{sources[min(problems)].name}: {problems[min(problems)]}')
    annotations = None
    if job.ann_file is not None:
        annotations = Annotations(job.ann_file, partial(images.names, plan))
        if annotations.digest != plan.annotations:
            raise ValueError(f'{job.ann_file} has changed since sealing began: seal with the one '
                             'that it was, or into another --out')
    if plan.finished is not None:  # is compared with what was there
        images = list(images)
    _check_nothing_is_lost(plan, images)
    manifest = Manifest(
        root=plan.target, scheme=job.scheme, image_format=job.image_format,
        scales=list(job.scales), job=plan.asked, images=images,
        key=job.key and dict(fingerprint=job.key.fingerprint, derivation=DERIVATIONS[-1]),
        skipped=[(job.public_name(sources[i].name), problems[i]) for i in sorted(problems)],
        name=job.name, role=job.role, padding=job.border)
    if job.seal_metadata:
        seal_metadata(manifest, annotations and json.loads(b''.join(annotations.parts())), job.key)
    elif annotations is not None:
        manifest.annotations = _write_annotations(annotations, plan.target / ANNOTATIONS)
    if annotations is not None:
        report.dropped_fields = sorted(annotations.dropped)
        del annotations
        forget_annotations()
    manifest.counter = _counter(plan, manifest)
    # All that it lists is on the disk by now.
    if plan.finished is None:
        if job.container == 'wds':
            move_into_shards(manifest, job.key, packing)
        else:
            manifest.save(job.key)
        remove_leftovers(job.out)
    else:
        commit(manifest, job.key, job.out, plan.finished)
        put_in_place(job.out, job.key)
        report.removed = sorted({image.source for image in plan.finished.images}
                                - {image.source for image in images})
    report.complete = True


def _write_annotations(annotations: Annotations, path: Path) -> str:
    """The digest of what is written."""
    digest = hashlib.sha256()
    with replace_file(path, sync=True) as temporary, temporary.open('wb') as file:
        for part in annotations.parts():
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def _check_nothing_is_lost(plan: Plan, images: Sequence[SealedImage]) -> None:
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
