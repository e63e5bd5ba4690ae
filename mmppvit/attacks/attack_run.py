"""A whole attack: all attackers, one after the other, then report.json and report.html."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.attackers.catalogue import find_attackers
from mmppvit.attacks.judges.detector_ap import VictimDetector
from mmppvit.attacks.judges.plain_boxes import read_plain_boxes
from mmppvit.attacks.judges.plain_detector import describe_detector, load_detector
from mmppvit.attacks.report import build_report, image_rows, write_page
from mmppvit.attacks.runner import AttackSettings, load_recoveries, run_attacks
from mmppvit.encryption import Key
from mmppvit.utils.atomic import write_atomic

__all__ = ['attack_and_report']


def attack_and_report(settings: AttackSettings, out: Path, *, attacks: str = 'all',
                      key: Key | None = None, detector: Path | None = None,
                      checkpoint: Path | None = None, ann: Sequence[Path] = (),
                      progress: Callable[[str], None] = print) -> tuple[dict, bool]:
    """Attack a sealed data set and write what leaked into ``out``.

    Args:
        settings (AttackSettings): What to attack; its ``budget`` is that of all attackers together.
        out (Path): Folder of the report; what is there from before is kept.
        attacks (str): 'all', or names with commas between them.
        key (Key, optional): The owner's, to score recovered orders; attackers never get it.
        detector (Path, optional): Config of a detector of plain images.
        checkpoint (Path, optional): Its weights.
        ann (Sequence[Path]): COCO jsons with the boxes of the plain images.
        progress (Callable): Gets a line for each attacker.

    Returns:
        tuple[dict, bool]: The report, and whether every attacker that fits came to its end.

    Raises:
        ValueError: Options that do not fit each other or the data; nothing is attacked then.
        FileNotFoundError: A file or folder is missing.
    """
    found = find_attackers(attacks)
    material = settings.load(key)
    judge, files = _load_judge(settings, material, detector, checkpoint, ann)
    fit = [name for name, kind in found.items() if kind.not_for(material.scheme) is None]
    settings = replace(settings, budget=settings.budget / max(len(fit), 1))
    results = list(run_attacks(settings, material, found, out, progress))
    recovered = {result.name: load_recoveries(out, result.name, len(material.victims))
                 for result in results if result.status == 'done'}
    report = build_report(settings, material, results, recovered, judge, files)
    write_atomic(out / 'report.json', json.dumps(report, indent=1).encode())
    write_page(out / 'report.html', report, image_rows(material, report, recovered))
    return report, not any(result.status in ('failed', 'out of time') for result in results)


def _load_judge(settings: AttackSettings, material: AttackData, detector: Path | None,
                checkpoint: Path | None, ann: Sequence[Path]
                ) -> tuple[VictimDetector | None, dict[str, str] | None]:
    """The detector and its files by kind; None and None without."""
    files = {'--detector': detector, '--checkpoint': checkpoint, '--ann': ann}
    missing = [option for option, path in files.items() if not path]
    if len(missing) == len(files):
        return None, None
    if missing:
        raise ValueError(f'{" and ".join(missing)} missing: --detector, --checkpoint and --ann '
                         'belong together')
    torch.set_num_threads(settings.threads)
    judge = VictimDetector(load_detector(detector, checkpoint), read_plain_boxes(*ann),
                           settings.sealed, settings.scale, material.victims, settings.seed)
    return judge, describe_detector(detector, checkpoint, ann)
