"""What sealing would do, found out without writing anything."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmppvit.sealed.job import SealJob
from mmppvit.sealed.resume import make_plan
from mmppvit.sealed.source_reader import SourceReader, input_remarks

__all__ = ['SealPlan', 'plan_sealing']


@dataclass
class SealPlan:
    """``images`` of the shard, ``files`` they would give, and ``problems``: name and reason;
    ``remarks``: what was corrected or is not as usual."""
    images: int = 0
    files: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def plan_sealing(job: SealJob, resume: bool = False,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> SealPlan:
    """Make every check that :func:`mmppvit.sealed.seal_dataset` makes before it encrypts.

    Args:
        job (SealJob): What to do.
        resume (bool): Whether an interrupted run is to go on.
        progress (Callable): Called with the images checked and their total.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The output holds something else.
    """
    reader = SourceReader(job.img_dir, job.ann_file, job.window)
    mine = make_plan(job, resume).sources[job.shard[0]::job.shard[1]]
    plan = SealPlan(remarks=input_remarks(job.img_dir, job.ann_file))
    for count, source in enumerate(mine, 1):
        try:
            reader.read(source)
        except FileNotFoundError:
            plan.problems.append((source.name, 'there is no such file'))
        except (OSError, ValueError) as err:
            plan.problems.append((source.name, ' '.join(str(err).split())))
        else:
            plan.images += 1
            plan.files += len(job.scales)
        progress(count, len(mine))
    return plan
