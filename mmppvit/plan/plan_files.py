"""What a plan chooses from: a command line, a file, or the default."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmppvit.plan.choices import DEFAULT_SCHEMES, Candidate, parse_candidate, read_plan_file

__all__ = ['chosen_candidates']


def chosen_candidates(schemes: Sequence[str], plan_file: Path | None
                      ) -> tuple[list[Candidate], dict]:
    """Candidates of both, or the default ones; and the options of the file.

    Raises:
        FileNotFoundError, ValueError: See :func:`parse_candidate` and :func:`read_plan_file`.
    """
    found, options = ([], {}) if plan_file is None else read_plan_file(plan_file)
    found += [parse_candidate(text) for text in schemes]
    return found or [parse_candidate(text) for text in DEFAULT_SCHEMES], options
