"""What a resumed run may keep of what it finds: only what is authentic, whole and still fits.

With a key, entries of the manifest are authentic by its signature and those of journals by the MAC
of their line. Without one nothing is: every image is sealed again, and a file that has the very
bytes is left as it is.
"""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmppvit.annotations.image_names import plain_path
from mmppvit.sealed.entries import ManifestError, SealedImage, image_folder
from mmppvit.sealed.image_files import path_within
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.journal import WORK, Journal
from mmppvit.sealed.manifest import MANIFEST, Manifest
from mmppvit.sealed.sources import Source, output_names, read_sources, sealed_annotations
from mmppvit.utils.regular_files import read_regular

__all__ = ['Plan', 'kept_files', 'make_plan']


@dataclass
class Plan:
    """What a run finds in its output folder, all of it checked.

    Args:
        job (SealJob): What to do; padded as a finished set is.
        sources (Sequence[Source]): All plain images.
        names (Sequence[str]): Of their sealed files, below the folder of a scale.
        asked (str): What names the job.
        old (str): What versions before 4 would name it.
        finished (Manifest, optional): Of a finished set, authenticated if there is a key.
    """
    job: SealJob
    sources: Sequence[Source]
    names: Sequence[str]
    asked: str
    old: str
    finished: Manifest | None = None

    def journal(self, part: int) -> Journal:
        """Of part ``part`` of as many as the job has."""
        base = 0 if self.finished is None else self.finished.counter
        return Journal(self.job.out, (part, self.job.shard[1]), self.asked, self.job.key, base,
                       self.old)


def make_plan(job: SealJob, resume: bool) -> Plan:
    """Read what is to be sealed, look at the output folder, and refuse what is not this job's.

    Args:
        job (SealJob): What was asked for.
        resume (bool): Whether there may be anything in the output folder.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The folder holds something else, another job, or anything and ``resume`` is
            False.
        ManifestError: A finished set there was not signed by the job's key.
    """
    sources, annotations = read_sources(job.img_dir, job.ann_file)
    kept = None if job.ann_file is None else sealed_annotations(
        job.ann_file, {source.in_json: source.name for source in sources})[0]
    plan = Plan(job, sources, _output_names(job, sources), job.digest(sources, kept),
                job.old_digest(sources, annotations))
    if not job.out.exists() or not any(job.out.iterdir()):
        return plan
    finished = (job.out / MANIFEST).exists()
    _check_folder(job, finished, resume)
    if finished:
        plan.finished = manifest = _authentic(job)
        if manifest.packed is not None:
            raise ValueError(f'{job.out} is packed into shards, so it cannot be resumed: resume '
                             'the folder that it was packed from, or seal into another --out')
        # All images are padded as the first ones were, also of a set that an older version began.
        if job.padding is None or manifest.version < 4:
            plan.job = replace(job, padding=manifest.padding)
        plan.asked = plan.job.digest(sources, kept)
        if manifest.job != (plan.old if manifest.version < 4 else plan.asked):
            raise ValueError(f'{job.out} was sealed from other images or with other options, so it '
                             'cannot be resumed with these: choose another --out')
    for part in range(job.shard[1]):  # also those of other shards
        plan.journal(part).check_job()
    return plan


def _output_names(job: SealJob, sources: Sequence[Source]) -> list[str]:
    if job.hides_names:
        return [f'{job.public_name(source.name)}.{job.image_format}' for source in sources]
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
    if not resume and (finished or started):
        raise ValueError(f'{job.out} holds a {"finished" if finished else "started"} data set: '
                         '--resume goes on with it, or choose another --out')


def kept_files(plan: Plan, mine: range) -> dict[int, list[SealedImage]]:
    """Files that need not be sealed again, by the index of their image.

    They are authentic, the files have the bytes that were sealed, and the plain file is the one
    that they were made of (of sets of versions before 4 that is not known).
    """
    if plan.job.key is None:
        return {}
    known = _of_manifest(plan) if plan.finished is not None else {}
    job = plan.job
    known.update(plan.journal(job.shard[0]).read(job.scheme, job.scales).files)
    old = plan.finished is not None and plan.finished.version < 4
    return {i: known[i] for i in mine if i in known
            and _fits(job, plan.sources[i], plan.names[i], known[i], old)}


def _of_manifest(plan: Plan) -> dict[int, list[SealedImage]]:
    by_source: dict[str, list[SealedImage]] = {}
    for image in plan.finished.images:
        by_source.setdefault(image.source, []).append(image)
    for images in by_source.values():
        images.sort(key=lambda image: image.scale)
    publics = {plan.job.public_name(source.name): i for i, source in enumerate(plan.sources)}
    return {publics[name]: images for name, images in by_source.items() if name in publics}


def _fits(job: SealJob, source: Source, name: str, files: list[SealedImage], old: bool) -> bool:
    expected = [f'{image_folder(job.scales, i)}/{name}' for i in range(len(job.scales))]
    public = job.public_name(source.name)
    if [image.file for image in files] != expected or \
            any(image.source != public for image in files):
        return False
    try:
        if not old:
            plain = read_regular(plain_path(job.img_dir, source.name))
            mac = job.plain_mac(source.name, plain)
            # One that was kept from an older version has none.
            if any(image.plain_mac not in (mac, '') for image in files):
                return False
        return all(_is_whole(job.out, image) for image in files)
    except OSError:
        return False


def _is_whole(out: Path, image: SealedImage) -> bool:
    content = read_regular(path_within(out, image.file))
    return len(content) == image.bytes and hashlib.sha256(content).hexdigest() == image.sha256
