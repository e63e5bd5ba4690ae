"""``report.json`` and the images of the page, from what attackers reconstructed."""
from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.attack_device import device_name
from mmppvit.attacks.attackers.catalogue import ATTACKERS
from mmppvit.attacks.attackers.interface import Reconstruction
from mmppvit.attacks.judges.judge_list import Judge
from mmppvit.attacks.judges.regions import RegionJudge
from mmppvit.attacks.report.handout import handout
from mmppvit.attacks.report.page import ImageRow
from mmppvit.attacks.report.verdict import verdict
from mmppvit.attacks.runner import (
    FURTHER,
    AttackResult,
    AttackSettings,
    extrapolated,
    has_settled,
)
from mmppvit.attacks.scoring.image_metrics import ssim
from mmppvit.attacks.scoring.scores import COLUMNS, as_it_is, mean_image, score_reconstructions
from mmppvit.encryption import Scheme

__all__ = ['build_report', 'image_rows']

SCHEMA_VERSION = 1  # of report.json, see report.schema.json

NOT_TESTED = [
    'Attackers with more time, more images or better networks than these. A figure here is a '
    'floor of what leaks, not a bound.',
    'What boxes, labels, file names, image sizes and the outputs of a detector say: they are in '
    'the clear, whatever the images look like. `mmppvit attack-boxes` tells what boxes add.',
    'Recognition of people or places by someone who knows them.',
    'Theft of the key, or of the plain images.',
    'What gradients or weights of a model that trains on these images say about them.',
]


def build_report(settings: AttackSettings, data: AttackData, results: Sequence[AttackResult],
                 reconstructed: Mapping[str, Sequence[Reconstruction]],
                 judges: Mapping[str, Judge] = {},
                 detector_files: Mapping[str, str] | None = None) -> dict:
    """All figures of the report, ready for json.

    Args:
        settings (AttackSettings): Of the run.
        data (AttackData): Its images.
        results (Sequence[AttackResult]): Of every attacker, also of those that failed.
        reconstructed (Mapping): By name of those that are done, one reconstruction for each victim.
        judges (Mapping): By the key of their column.
        detector_files (Mapping, optional): What it was loaded from, by kind of file.
    """
    scheme = data.scheme

    def score(reconstructions: Sequence[Reconstruction]) -> dict[str, dict]:
        return score_reconstructions(scheme, data.victims, reconstructions, settings.seed, judges)

    untouched = _reference(
        'sealed, as it is', 'no attack: the sealed image, enlarged where it is smaller',
        score([as_it_is(victim) for victim in data.victims]))
    columns = [*(judge.column(key) for key, judge in judges.items()), *COLUMNS]
    rows = [_row(result, score(reconstructed[result.name]) if result.name in reconstructed else {},
                 untouched, columns) for result in results]
    report = dict(
        schema=SCHEMA_VERSION, sealed=Path(settings.sealed).resolve().name, scheme=scheme.to_dict(),
        scheme_text=scheme.describe(), num_victims=len(data.victims),
        num_pairs=len(data.pairs), victims=[victim.name for victim in data.victims],
        skipped=data.skipped, columns=_used_columns(rows, columns, judges), rows=rows,
        as_it_is=untouched,
        floor=_reference('floor', 'one mean image in place of all, and any order',
                         score(_nothing_known(data, settings.seed)), bound=True),
        ceiling=_reference('ceiling', 'the plain images themselves', score(
            [Reconstruction(victim.plain, victim.order) for victim in data.victims]), bound=True),
        detector=None if detector_files is None else dict(detector_files),
        judged=_judged_regions(judges),
        not_tested=NOT_TESTED + _absent(results), how=_how(settings, detector_files))
    report['verdict'] = verdict(report)
    report['handout'] = handout(report)
    report['ways'] = ways_of_use(scheme)
    return report


def _judged_regions(judges: Mapping[str, Judge]) -> dict[str, list[dict]]:
    """Where faces and writing are, by judge; not what is written there."""
    return {key: [dict(victim=region.victim, box=list(region.box)) for region in judge.regions]
            for key, judge in judges.items() if isinstance(judge, RegionJudge)}


def _nothing_known(data: AttackData, seed: int) -> list[Reconstruction]:
    rng = np.random.default_rng(seed)
    return [Reconstruction(mean_image(data.pairs, victim.plain.shape[:2]),
                     None if victim.order is None else rng.permutation(len(victim.order)))
            for victim in data.victims]


def _row(result: AttackResult, metrics: dict, untouched: Mapping, columns: Sequence[Mapping]
         ) -> dict:
    below = [column['key'] for column in columns if column['key'] in metrics
             and column['key'] in untouched['metrics']
             and _shown(metrics, column) < _shown(untouched['metrics'], column)]
    settled = has_settled(result.curve) if len(result.curve) > 1 else None
    return {**asdict(result), 'settled': settled,
            'extrapolated': extrapolated(result.curve, FURTHER), 'metrics': metrics, 'bound': False,
            'below_as_it_is': below}


def _shown(metrics: Mapping, column: Mapping) -> float:
    return round(metrics[column['key']]['mean'], column['digits'])


def _reference(name: str, title: str, metrics: dict, bound: bool = False) -> dict:
    """What rows are read against; of bounds none can be the best attack."""
    return dict(name=name, title=title, needs='', status='done', reason='', seconds=0.,
                metrics=metrics, bound=bound, below_as_it_is=[])


def _used_columns(rows: Sequence[Mapping], columns: Sequence[Mapping], judges: Mapping
                  ) -> list[Mapping]:
    used = {key for row in rows for key in row['metrics']} | {'ssim', 'psnr', 'reidentified'}
    return [column for column in columns if column['key'] in used | set(judges)]


def _absent(results: Sequence[AttackResult]) -> list[str]:
    absent = [f'{result.name}: {result.status}' + f', {result.reason}' * bool(result.reason) + '.'
              for result in results if result.status != 'done']
    left_out = [name for name in ATTACKERS if name not in {result.name for result in results}]
    if left_out:
        absent.append(f'Attackers that were not asked for: {", ".join(left_out)}.')
    return absent


def _how(settings: AttackSettings, detector: Mapping[str, str] | None) -> dict[str, str]:
    where = f' on {device_name(settings.device)}' * (settings.device != 'cpu')
    how = {
        'data': f'{settings.num_victims} victims and up to {settings.num_pairs} images of the '
                f'attacker, chosen with seed {settings.seed}',
        'time': f'{settings.budget:g} s of learning{where} for each attacker, {settings.threads} '
                'threads'
                + f'; of those that learn up to {settings.longest:g} s' * bool(settings.longest),
        'machine': f'{platform.processor() or platform.machine()}, Python '
                   f'{platform.python_version()}',
        'date': datetime.date.today().isoformat(),
    }
    if detector is not None:
        how['detector'] = (f'{detector["config"]} with the weights of {detector["checkpoint"]} '
                           f'(SHA-256 {detector["sha256"][:12]}), boxes of '
                           f'{detector["annotations"]}')
    return how


def ways_of_use(scheme: Scheme) -> list[tuple[str, str]]:
    """(way of use, what these figures say about it)."""
    if scheme.needs_protector:
        return [('Frozen model elsewhere', 'The host of the detector sees these images and finds '
                 'what is in them: everything above applies to it. Whoever gets hold of the '
                 'protector makes pairs and learns from them, as some of these attackers did.')]
    if scheme.shuffles:
        return [
            ('Backbone elsewhere, no key',
             'The host of the backbone sees these images in shuffled order: everything above '
             'applies to it.'),
            ('Training elsewhere, with the key',
             'Whoever trains has the key and sees the patches in order: seal without shuffling '
             'and attack that, for what such a trainer can reconstruct.'),
        ]
    return [('Training elsewhere', 'Whoever trains sees these images, patches in order, and the '
             'boxes: everything above applies to them.')]


def image_rows(data: AttackData, report: Mapping,
               reconstructed: Mapping[str, Sequence[Reconstruction]], count: int = 4
               ) -> list[ImageRow]:
    """Some victims: plain, sealed, and what each attacker made of them, the best attacker first.

    The first are the worst cases of the two best attackers, the others at random.

    Args:
        data (AttackData): The victims.
        report (Mapping): Of :func:`build_report`.
        reconstructed (Mapping): By name of the attacker, one reconstruction for each victim.
        count (int): Victims to show, at most.
    """
    best = sorted((row for row in report['rows'] if row['metrics']),
                  key=lambda row: -row['metrics']['ssim']['mean'])
    notes: dict[int, str] = {}
    for row in best[:2]:
        worst = row['metrics']['ssim']
        notes.setdefault(worst['worst_index'], f'worst case: what "{row["name"]}" reconstructed '
                         f'best, SSIM {worst["worst"]:.2f}')
    chosen = list(dict.fromkeys([*notes, *range(len(data.victims))]))[:count]
    names = [row['name'] for row in best]
    return [_images_of(data, reconstructed, names, index, notes.get(index, ''))
            for index in chosen]


def _images_of(data: AttackData, reconstructed: Mapping[str, Sequence[Reconstruction]],
                 names: Sequence[str], index: int, note: str) -> ImageRow:
    victim = data.victims[index]
    sealed = as_it_is(victim).img
    how = f', enlarged {data.scheme.grid} times' * (sealed.shape != victim.encrypted.shape)
    reconstructions = [(f'reconstructed by {name}', reconstructed[name][index].img)
                       for name in names]
    return ImageRow(victim.name, [('plain', victim.plain), *(
        (f'{caption}, SSIM {ssim(victim.plain, img):.2f}', img)
        for caption, img in [(f'sealed, as it is{how}', sealed), *reconstructions])], note)
