"""A whole attack: all attackers, one after the other, then report.json and report.html."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from mmppvit.attacks.attack_device import check_device
from mmppvit.attacks.attackers.catalogue import find_attackers
from mmppvit.attacks.judges.judge_list import JudgeFiles, find_judges
from mmppvit.attacks.report import (
    build_report,
    crop_groups,
    image_rows,
    write_page,
)
from mmppvit.attacks.runner import AttackSettings, load_reconstructions, run_attacks
from mmppvit.encryption import Key
from mmppvit.utils.atomic import write_atomic

__all__ = ['attack_and_report']


def attack_and_report(settings: AttackSettings, out: Path, *, attacks: str = 'all',
                      key: Key | None = None, detector: Path | None = None,
                      checkpoint: Path | None = None, ann: Sequence[Path] = (),
                      judges: str = '', models: Path | None = None,
                      progress: Callable[[str], None] = print) -> tuple[dict, bool]:
    """Attack a sealed data set and write what leaked into ``out``.

    Args:
        settings (AttackSettings): What to attack; its ``budget`` is that of all attackers together.
        out (Path): Folder of the report; what is there from before is kept.
        attacks (str): 'all', or names with commas between them.
        key (Key, optional): The owner's, to score reconstructed orders; attackers never get it.
        detector (Path, optional): Config of a detector of plain images.
        checkpoint (Path, optional): Its weights.
        ann (Sequence[Path]): COCO jsons with the boxes of the plain images.
        judges (str): Further judges, see :class:`JudgeFiles`.
        models (Path, optional): Folder of the weights that they need.
        progress (Callable): Gets a line for each attacker.

    Returns:
        tuple[dict, bool]: The report, and whether every attacker that fits came to its end.

    Raises:
        ValueError: Options that do not fit each other, the data or the machine; nothing is
            attacked then.
        FileNotFoundError: A file or folder is missing.
    """
    check_device(settings.device)
    found = find_attackers(attacks)
    data = settings.load(key)
    judging = find_judges(settings, data,
                          JudgeFiles(detector, checkpoint, ann, judges, models))
    fit = [name for name, kind in found.items() if kind.not_for(data.scheme) is None]
    settings = replace(settings, budget=settings.budget / max(len(fit), 1))
    results = list(run_attacks(settings, data, found, out, progress))
    reconstructed = {result.name: load_reconstructions(out, result.name, len(data.victims))
                     for result in results if result.status == 'done'}
    described = None
    if 'ap' in judging:
        from mmppvit.attacks.judges.plain_detector import describe_detector  # imports MMDetection
        described = describe_detector(detector, checkpoint, ann)
    report = build_report(settings, data, results, reconstructed, judging, described)
    write_atomic(out / 'report.json', json.dumps(report, indent=1).encode())
    write_page(out / 'report.html', report, image_rows(data, report, reconstructed),
               crop_groups(data, report, reconstructed, judging))
    return report, not any(result.status in ('failed', 'out of time') for result in results)
