"""What sealing would do, found out without writing anything."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2

from mmppvit.sealed.entries import SealedImage
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.plain_images import PlainImage
from mmppvit.sealed.resume import Plan, kept_files, make_plan
from mmppvit.sealed.seal_images import seal_image
from mmppvit.sealed.source_reader import SourceReader, input_remarks

__all__ = ['SealPlan', 'plan_sealing']


@dataclass
class SealPlan:
    """``images`` of the shard, ``files`` they would give, and ``problems``: name and reason;
    ``remarks``: what was corrected or is not as usual.

    Of an update these are the images that would be sealed, and ``added``, ``changed`` and
    ``removed`` have their names.
    """
    images: int = 0
    files: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def plan_sealing(job: SealJob, resume: bool = False,
                 progress: Callable[[int, int], None] = lambda done, total: None, *,
                 update: bool = False, remove: bool = False) -> SealPlan:
    """Make every check that :func:`mmppvit.sealed.seal_dataset` makes before it encrypts.

    Args:
        job (SealJob): What to do.
        resume (bool): Whether an interrupted run is to go on.
        progress (Callable): Called with the images checked and their total.
        update, remove (bool): As for ``seal_dataset``.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The output holds something else.
    """
    reader = SourceReader(job.img_dir, job.ann_file, job.window)
    found = make_plan(job, resume, update, remove, look_only=True)
    mine = range(job.shard[0], len(found.sources), job.shard[1])
    plan = SealPlan(remarks=input_remarks(job.img_dir, job.ann_file))
    if found.finished is not None and found.finished.packed is not None:
        plan.problems = found.skipped(mine)
        return plan
    kept: set[int] = set()
    if update:
        plan.removed = found.gone()
        kept = set(kept_files(found, mine))
    known = {image.file: image for image in found.finished.images} if update else {}
    sources = {image.source for image in known.values()}
    for count, i in enumerate(mine, 1):
        source = found.sources[i]
        progress(count, len(mine))
        if i in kept:
            continue
        try:
            plain = reader.read(source)
            if update and _is_same(found, i, plain, known):
                continue
        except FileNotFoundError:
            plan.problems.append((source.name, 'there is no such file'))
        except cv2.error:  # too large a side, or of another depth
            plan.problems.append((source.name, 'OpenCV cannot scale or store its pixels'))
        except (OSError, ValueError, TypeError) as err:
            plan.problems.append((source.name, ' '.join(str(err).split())))
        else:
            plan.images += 1
            plan.files += len(job.scales)
            if update:
                of_set = job.public_name(source.name) in sources
                (plan.changed if of_set else plan.added).append(source.name)
    return plan


def _is_same(found: Plan, index: int, plain: PlainImage, known: dict[str, SealedImage]) -> bool:
    """Whether an image of a set without a key would be sealed to the files that it has."""
    if found.job.key is not None:
        return False
    again = [image for image, _ in seal_image(plain.img, plain.content, found.sources[index],
                                              found.names[index], found.job)]
    return all(known.get(image.file) == image for image in again)
