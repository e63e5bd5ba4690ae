"""A plan run to its end: the rows, the plot and the verdict."""
from __future__ import annotations

from mmppvit.plan.plan_rows import Row
from mmppvit.plan.plan_verdict import Verdict, judge
from mmppvit.plan.planner import Plan

__all__ = ['finish']


def finish(plan: Plan, max_loss: float) -> tuple[list[Row], Verdict]:
    """Run ``plan``, write plan.png beside its table, and judge.

    Args:
        plan (Plan): New, or with trainings that an earlier run has done.
        max_loss (float): Share of the plain mAP that a scheme may cost.

    Raises:
        ValueError: Its folder holds another plan, or reports cannot be read.
    """
    from mmppvit.plan.plan_plots import plot_plan
    rows, hidden = plan.run(), plan.hidden
    if any(row.map is not None for row in rows):
        plot_plan(plan.options.out / 'plan.png', rows, hidden, max_loss, plan.measured)
    verdict = judge(rows, hidden, max_loss, plan.measured)
    if plan.options.reports is not None and not plan.measured:
        verdict.lines.append(f'{plan.options.reports} has no report of some schemes: the fixed '
                             'ranking was used.')
    return rows, verdict
