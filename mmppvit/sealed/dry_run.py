"""What sealing would do, found out without writing anything."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmppvit.sealed.image_files import check_complete, path_within
from mmppvit.sealed.job import SealJob
from mmppvit.sealed.resume import make_plan

__all__ = ['SealPlan', 'plan_sealing']


@dataclass
class SealPlan:
    """``images`` of the shard, ``files`` they would give, and ``problems``: name and reason."""
    images: int = 0
    files: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


def plan_sealing(job: SealJob, resume: bool = False,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> SealPlan:
    """Make every check that :func:`mmppvit.sealed.seal_dataset` makes before it decodes images.

    Args:
        job (SealJob): What to do.
        resume (bool): Whether an interrupted run is to go on.
        progress (Callable): Called with the images checked and their total.

    Raises:
        FileNotFoundError: There is no such folder or json.
        ValueError: The output holds something else.
    """
    plan, mine = SealPlan(), make_plan(job, resume).sources[job.shard[0]::job.shard[1]]
    for count, source in enumerate(mine, 1):
        try:
            check_complete(path_within(job.img_dir, source.name))
        except FileNotFoundError:
            plan.problems.append((source.name, 'there is no such file'))
        except (OSError, ValueError) as err:
            plan.problems.append((source.name, ' '.join(str(err).split())))
        else:
            plan.images += 1
            plan.files += len(job.scales)
        progress(count, len(mine))
    return plan
