"""What a run that goes on may keep of what it finds: only what is authentic, whole and still fits.

With a key, entries of the manifest are authentic by its signature and those of journals by the MAC
of their line. Without one nothing is: every image is sealed again, and a file that has the very
bytes is left as it is.
"""
from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmppvit.annotations.image_names import plain_path
from mmppvit.sealed.entries import ManifestError, SealedImage, image_folder
from mmppvit.sealed.image_files import path_within
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.journal import END_LOCK, WORK, Journal, JournalIndex, locked
from mmppvit.sealed.manifest import MANIFEST, Manifest
from mmppvit.sealed.packed_names import PackedNames, Source
from mmppvit.sealed.pseudonyms import name_of
from mmppvit.sealed.sources import Annotations, output_names, read_sources
from mmppvit.sealed.staging import NEXT, is_committed, place_of, put_in_place
from mmppvit.sealed.tar_shards import SHARDS
from mmppvit.utils.regular_files import read_regular

__all__ = ['KeptFiles', 'Plan', 'files_of_manifest', 'kept_files', 'make_plan']


@dataclass
class Plan:
    """What a run finds in its output folder, all of it checked.

    Args:
        job (SealJob): What to do; padded as a finished set is.
        sources (Sequence[Source]): All plain images.
        names (Sequence[str]): Of their sealed files, below the folder of a scale.
        asked (str): What names the job.
        old (str): What versions before 4 would name it.
        annotations (str, optional): SHA-256 of the json.
        finished (Manifest, optional): Of a finished set, authenticated if there is a key. What
            changes is staged then, see :mod:`mmppvit.sealed.staging`.
        update (bool): Whether images may come and change.
        remove (bool): Whether they may go.
        absent (list): Plain images that are not there, of which the sealed files are kept.
        state (tuple): Tells the finished set, or none, from the one that another run may make.
    """
    job: SealJob
    sources: Sequence[Source]
    names: Sequence[str]
    asked: str
    old: str
    annotations: str | None = None
    finished: Manifest | None = None
    update: bool = False
    remove: bool = False
    absent: list[str] = field(default_factory=list)
    state: tuple = ()

    @property
    def target(self) -> Path:
        """The folder that new files are written to."""
        return self.job.out if self.finished is None else self.job.out / NEXT

    def place(self, file: str) -> str:
        """Where the newest ``file`` lies, relative to the output folder."""
        return file if self.finished is None else place_of(self.job.out, file)

    def gone(self) -> list[str]:
        """Names of images of the finished set that are no sources any more."""
        publics = {self.job.public_name(source.name) for source in self.sources}
        return sorted({image.source for image in self.finished.images} - publics)

    def is_overtaken(self) -> bool:
        """Whether another run has finished the set since."""
        return self.state != _state(self.job.out)

    def tasks(self, indices: Iterable[int]) -> Iterator[tuple[int, Source, str]]:
        """Index, plain image and name of the sealed files of these images."""
        return ((i, self.sources[i], self.names[i]) for i in indices)

    def skipped(self, mine: range) -> list[tuple[str, str]]:
        """Plain names of a part's images that the finished set is complete without, and why."""
        reasons = dict(self.finished.skipped)
        named = ((self.sources[i].name, self.job.public_name(self.sources[i].name))
                 for i in (mine if reasons else ()))
        return [(name, reasons[public]) for name, public in named if public in reasons]

    def journal(self, part: int) -> Journal:
        """Of part ``part`` of as many as the job has."""
        base = 0 if self.finished is None else self.finished.counter
        return Journal(self.job.out, (part, self.job.shard[1]), self.asked, self.job.key, base,
                       self.old, self.place)


def make_plan(job: SealJob, resume: bool, update: bool = False, remove: bool = False,
              look_only: bool = False) -> Plan:
    """Read what is to be sealed, look at the output folder, and refuse what is not this job's.

    Args:
        job (SealJob): What was asked for.
        resume (bool): Whether there may be anything in the output folder.
        update (bool): Whether it has to be a finished set, of these or other images.
        remove (bool): Whether images may be taken out of it.
        look_only (bool): Change nothing; else a state that a killed run completed is put in place,
            and what is left of another update is removed.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The folder holds something else, another job, or anything and ``resume`` is
            False.
        ManifestError: A finished set there was not signed by the job's key.
    """
    while True:
        before = _state(job.out)
        try:
            return _make_plan(job, resume, update, remove, look_only)
        except (ValueError, OSError):
            if before == _state(job.out):
                raise
        # Another run has just finished the set, which was looked at before and after.


def _state(out: Path) -> tuple:
    """What changes whenever a set is finished, or a new state of it complete."""
    found = []
    for path in (out / MANIFEST, out / NEXT / MANIFEST):
        try:
            status = os.stat(path)
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def _make_plan(job: SealJob, resume: bool, update: bool, remove: bool, look_only: bool) -> Plan:
    sources, annotations = read_sources(job.img_dir, job.ann_file)
    kept = None if job.ann_file is None else Annotations(
        job.ann_file, lambda: (source.name for source in sources))
    if is_committed(job.out) and (resume or update):
        if look_only:
            raise ValueError(f'{job.out} has a new state that is complete and not in place: '
                             '--resume or --update without --dry-run puts it there first')
        _put_in_place(job)
    state = _state(job.out)
    plan = Plan(job, sources, _output_names(job, sources), job.digest(sources, kept),
                job.old_digest(sources, annotations), annotations, update=update, remove=remove,
                state=state)
    if update and not (job.out / MANIFEST).is_file():
        raise ValueError(f'{job.out} is no finished data set to update: seal it without --update'
                         + (', and with --resume' if (job.out / WORK).is_dir() else ''))
    if not job.out.exists() or not any(job.out.iterdir()):
        return plan
    finished = (job.out / MANIFEST).exists()
    if not update:
        _check_folder(job, finished, resume)
    if finished:
        plan.finished = manifest = _authentic(job)
        _check_container(job, manifest, update)
        # All images are padded as the first ones were, also of a set that an older version began.
        if job.padding is None or manifest.version < 4:
            plan.job = replace(job, padding=manifest.padding)
        plan.asked = plan.job.digest(sources, kept)
        if update:
            _check_update(plan)
        elif manifest.job != (plan.old if manifest.version < 4 else plan.asked):
            raise ValueError(f'{job.out} was sealed from other images or with other options, so it '
                             'cannot be resumed with these: choose another --out, or '
                             '--update it')
    if update and not look_only:
        _forget_others(plan)
    if not update:
        for part in range(job.shard[1]):  # also those of other shards
            plan.journal(part).check_job()
    return plan


def _put_in_place(job: SealJob) -> None:
    try:
        with locked(job.out / END_LOCK):
            if is_committed(job.out):
                put_in_place(job.out, job.key)
    except FileNotFoundError:
        if (job.out / WORK).is_dir():
            raise
        # Another run has just done this.


def _check_container(job: SealJob, manifest: Manifest, update: bool) -> None:
    """Refuse to change a packed set, and to pack a finished folder."""
    if manifest.packed is not None and (update or job.container == 'folder'):
        doing = 'update' if update else 'resume'
        raise ValueError(f'{job.out} is packed into shards, so it cannot be {doing}d: {doing} '
                         'the folder that it was packed from'
                         + (' and pack it again' if update else '')
                         + ', or seal into another --out')
    if manifest.packed is None and job.container != 'folder':
        raise ValueError(f'{job.out} is a finished folder: mmppvit pack puts it into shards')


def _check_update(plan: Plan) -> None:
    """Refuse to seal some images of a set in another way, and to take some out unasked."""
    job, before = plan.job, plan.finished
    if before.version < 4:
        raise ValueError(f'{job.out} has a manifest of version {before.version}, which cannot be '
                         'updated: seal it again')
    hidden = before.sealed_metadata is not None
    given = dict(scheme=job.scheme, scale=list(job.scales), format=job.image_format,
                 name=job.name, role=job.role)
    found = dict(scheme=before.scheme, scale=before.scales, format=before.image_format,
                 name=before.name, role=before.role)
    given |= {'padding': job.border, 'seal-metadata': job.seal_metadata,
              'pseudonyms': job.hides_names}
    found |= {'padding': before.padding, 'seal-metadata': hidden,
              'pseudonyms': hidden or _has_pseudonyms(job, before)}
    other = [f'--{name} {found[name]}' for name in given if given[name] != found[name]]
    if other:
        raise ValueError(f'{job.out} was sealed with {", ".join(other)}: give the same options to '
                         'update it, or choose another --out')
    gone = plan.gone()
    if gone and not plan.remove:
        raise ValueError(f'{len(gone)} images of {job.out} are not among the plain ones, e.g. '
                         f'{gone[0]!r:.80}: --remove takes them out of the set')


def _has_pseudonyms(job: SealJob, before: Manifest) -> bool:
    if job.key is None or not before.images:
        return False
    try:
        name_of(job.key, before.images[0].source, before.name, before.role)
    except ValueError:
        return False
    return True


def _forget_others(plan: Plan) -> None:
    """Remove what is left of another update, or of a resumed run; this one starts afresh.

    Raises:
        ValueError: It is still at work.
    """
    work = plan.job.out / WORK
    try:
        # One part at a time: what another has staged for this update already is not left over.
        with locked(work / 'start.lock'):
            _forget_unlocked(plan)
    except FileNotFoundError:  # nothing is left
        pass


def _forget_unlocked(plan: Plan) -> None:
    job, work = plan.job, plan.job.out / WORK
    own = {plan.journal(part).path: plan.journal(part) for part in range(job.shard[1])}
    others = [path for path in work.glob('shard-*.jsonl')
              if path not in own or not own[path].is_of_job()]
    with ExitStack() as locks:
        for path in others:
            try:
                locks.enter_context(locked(path.with_suffix('.lock'), wait=False))
            except OSError:
                raise ValueError(f'another process is sealing {job.out} with other images or '
                                 'options: wait for it') from None
        if others:  # the journals last: they tell the next run what is left, if this is killed
            shutil.rmtree(job.out / NEXT, ignore_errors=True)
        for path in others:
            path.unlink(missing_ok=True)


def _output_names(job: SealJob, sources: Sequence[Source]) -> Sequence[str]:
    if job.hides_names:
        return PackedNames(f'{job.public_name(source.name)}.{job.image_format}'
                           for source in sources)
    return output_names(sources, job.image_format)


def _authentic(job: SealJob) -> Manifest:
    try:
        manifest = Manifest.load(job.out)
        if job.key is not None and manifest.key is not None:
            if manifest.key['fingerprint'] != job.key.fingerprint:
                raise ValueError(f'{job.out} was sealed with another key, so it cannot be resumed '
                                 'with these: choose another --out')
            manifest.check_key(job.key)
        elif (job.key is None) != (manifest.key is None):
            raise ValueError(f'{job.out} was sealed {"with" if manifest.key else "without"} a key, '
                             'so it cannot be resumed with these options: choose another --out')
    except ManifestError as err:
        raise ManifestError(f'{err}. Nothing in it is kept: repair can rebuild it, or remove '
                            f'{MANIFEST} and --resume to seal all of it again') from None
    return manifest


def _check_folder(job: SealJob, finished: bool, resume: bool) -> None:
    work = job.out / WORK
    of_others = [path.name for path in work.glob('shard-*.jsonl')
                 if not path.name.endswith(f'-of-{job.shard[1]}.jsonl')]
    if of_others:
        raise ValueError(f'{job.out} was started in another number of shards ({of_others[0]}): '
                         'give the same --shard i/n')
    if not finished and not work.is_dir():
        raise ValueError(f'{job.out} is not empty and not a sealed data set: choose another --out')
    started = (work / 'shard-{}-of-{}.jsonl'.format(*job.shard)).exists()
    if not finished and job.container == 'folder' and (job.out / SHARDS).is_dir():
        raise ValueError(f'{job.out} was started with --container wds: give it again')
    if not resume and (finished or started):
        raise ValueError(f'{job.out} holds a {"finished" if finished else "started"} data set: '
                         '--resume goes on with it, or choose another --out')


class KeptFiles(Mapping):
    """Files that need not be sealed again, by the index of their image; read when asked for.

    Args:
        mine (range): Indices of a part.
        finished (dict): What a finished set has.
        index (JournalIndex, optional): What the part's journal has, which is newer.
        fits (Callable): Whether the files of an index are still good.
    """

    def __init__(self, mine: range, finished: dict[int, list[SealedImage]],
                 index: JournalIndex | None,
                 fits: Callable[[int, list[SealedImage]], bool]) -> None:
        self._mine, self._finished, self._index = mine, finished, index
        self._kept = bytearray(len(mine))
        in_journal = () if index is None else index.sealed()
        for i in {*in_journal, *finished} if finished else in_journal:
            if i in mine:
                self._kept[mine.index(i)] = fits(i, self._files(i))

    def _files(self, i: int) -> list[SealedImage]:
        if self._index is not None and self._index.has(i):
            return self._index.files(i)
        return self._finished[i]

    def __contains__(self, i: object) -> bool:
        return i in self._mine and bool(self._kept[self._mine.index(i)])

    def __getitem__(self, i: int) -> list[SealedImage]:
        if i not in self:
            raise KeyError(i)
        return self._files(i)

    def __iter__(self) -> Iterator[int]:
        return (i for i, kept in zip(self._mine, self._kept, strict=True) if kept)

    def __len__(self) -> int:
        return sum(self._kept)


def kept_files(plan: Plan, mine: range) -> KeptFiles:
    """Files that need not be sealed again.

    They are authentic, the files have the bytes that were sealed, and the plain file is the one
    that they were made of (of sets of versions before 4 that is not known).
    """
    job = plan.job
    if job.key is None:
        return KeptFiles(mine, {}, None, lambda i, files: False)
    finished = files_of_manifest(plan) if plan.finished is not None else {}
    old = plan.finished is not None and plan.finished.version < 4
    return KeptFiles(mine, finished, JournalIndex(plan.journal(job.shard[0]), mine, job.scheme,
                                                  job.scales),
                     lambda i, files: _fits(plan, i, files, old))


def files_of_manifest(plan: Plan) -> dict[int, list[SealedImage]]:
    by_source: dict[str, list[SealedImage]] = {}
    for image in plan.finished.images:
        by_source.setdefault(image.source, []).append(image)
    for images in by_source.values():
        images.sort(key=lambda image: image.scale)
    publics = {plan.job.public_name(source.name): i for i, source in enumerate(plan.sources)}
    return {publics[name]: images for name, images in by_source.items() if name in publics}


def _fits(plan: Plan, index: int, files: list[SealedImage], old: bool) -> bool:
    job, source, name = plan.job, plan.sources[index], plan.names[index]
    expected = [f'{image_folder(job.scales, i)}/{name}' for i in range(len(job.scales))]
    public = job.public_name(source.name)
    if [image.file for image in files] != expected or \
            any(image.source != public for image in files):
        return False
    try:
        if not old:
            # One that was kept from an older version has none.
            macs = {_plain_mac(plan, source), ''}
            if None not in macs and any(image.plain_mac not in macs for image in files):
                return False
            if None in macs and all(_is_whole(plan, image) for image in files):
                plan.absent.append(source.name)
        return all(_is_whole(plan, image) for image in files)
    except OSError:
        return False


def _plain_mac(plan: Plan, source: Source) -> str | None:
    """None where the plain image of a set that is updated is not there: it is not needed."""
    try:
        content = read_regular(plain_path(plan.job.img_dir, source.name))
    except FileNotFoundError:
        if not plan.update:
            raise
        return None
    return plan.job.plain_mac(source.name, content)


def _is_whole(plan: Plan, image: SealedImage) -> bool:
    for file in dict.fromkeys((plan.place(image.file), image.file)):  # a killed run may have
        content = read_regular(path_within(plan.job.out, file))       # staged another
        if len(content) == image.bytes and hashlib.sha256(content).hexdigest() == image.sha256:
            return True
    return False
