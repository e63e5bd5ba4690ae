"""``report.json`` and the pictures of the page, from what attackers recovered."""
from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from mmppvit.attacks.attacker import Recovery
from mmppvit.attacks.catalogue import ATTACKERS
from mmppvit.attacks.material import Material
from mmppvit.attacks.metrics import ssim
from mmppvit.attacks.report.page import PictureRow
from mmppvit.attacks.report.verdict import verdict
from mmppvit.attacks.runner import AttackResult, AttackSettings
from mmppvit.attacks.scoring import COLUMNS, mean_picture, score_recoveries
from mmppvit.encryption import Scheme

import cv2
import numpy as np

__all__ = ['build_report', 'picture_rows']

NOT_TESTED = [
    'Attackers with more time, more pictures or better networks than these. A figure here is a '
    'floor of what leaks, not a bound.',
    'What boxes, labels, file names, picture sizes and the outputs of a detector say: they are in '
    'the clear, whatever the pictures look like.',
    'Recognition of people or places by someone who knows them.',
    'Theft of the key, or of the plain pictures.',
    'What gradients or weights of a model that trains on these pictures say about them.',
]


def build_report(settings: AttackSettings, material: Material, results: Sequence[AttackResult],
                 recovered: Mapping[str, Sequence[Recovery]]) -> dict:
    """All figures of the report, ready for json.

    Args:
        settings (AttackSettings): Of the run.
        material (Material): Its pictures.
        results (Sequence[AttackResult]): Of every attacker, also of those that failed.
        recovered (Mapping): By name of those that are done, one recovery for each victim.
    """
    scheme, seed = material.scheme, settings.seed
    plain = [Recovery(victim.plain, victim.order) for victim in material.victims]
    floor = _nothing_known(material, seed)
    rows = [_row(result, score_recoveries(scheme, material.victims, recovered[result.name], seed)
                 if result.name in recovered else {}) for result in results]
    report = dict(
        sealed=Path(settings.sealed).resolve().name, scheme=scheme.to_dict(),
        scheme_text=describe(scheme), num_victims=len(material.victims),
        num_pairs=len(material.pairs), victims=[victim.name for victim in material.victims],
        skipped=material.skipped, columns=_used_columns(rows), rows=rows,
        floor=_bound('floor', 'one mean picture in place of all, and any order',
                     score_recoveries(scheme, material.victims, floor, seed)),
        ceiling=_bound('ceiling', 'the plain pictures themselves',
                       score_recoveries(scheme, material.victims, plain, seed)),
        not_tested=NOT_TESTED + _absent(results), how=_how(settings))
    report['verdict'] = verdict(report)
    report['ways'] = ways_of_use(scheme)
    return report


def _nothing_known(material: Material, seed: int) -> list[Recovery]:
    rng = np.random.default_rng(seed)
    return [Recovery(mean_picture(material.pairs, victim.plain.shape[:2]),
                     None if victim.order is None else rng.permutation(len(victim.order)))
            for victim in material.victims]


def _row(result: AttackResult, metrics: dict) -> dict:
    return {**asdict(result), 'metrics': metrics, 'bound': False}


def _bound(name: str, title: str, metrics: dict) -> dict:
    return dict(name=name, title=title, needs='', status='done', reason='', seconds=0.,
                metrics=metrics, bound=True)


def _used_columns(rows: Sequence[Mapping]) -> list[dict]:
    used = {key for row in rows for key in row['metrics']} | {'ssim', 'psnr', 'reidentified'}
    return [column for column in COLUMNS if column['key'] in used]


def _absent(results: Sequence[AttackResult]) -> list[str]:
    absent = [f'{result.name}: {result.status}' + f', {result.reason}' * bool(result.reason) + '.'
              for result in results if result.status != 'done']
    left_out = [name for name in ATTACKERS if name not in {result.name for result in results}]
    if left_out:
        absent.append(f'Attackers that were not asked for: {", ".join(left_out)}.')
    return absent


def _how(settings: AttackSettings) -> dict[str, str]:
    return {
        'data': f'{settings.num_victims} victims and up to {settings.num_pairs} pictures of the '
                f'attacker, drawn with seed {settings.seed}',
        'time': f'{settings.budget:g} s of learning for each attacker, {settings.threads} threads',
        'machine': f'{platform.processor() or platform.machine()}, Python '
                   f'{platform.python_version()}',
        'date': datetime.date.today().isoformat(),
    }


def describe(scheme: Scheme) -> str:
    """A scheme and its parameters in a few words."""
    words = [scheme.name, f'patches of {scheme.patch_size} pixels']
    if scheme.grid > 1:
        words.append(f'grid {scheme.grid}')
    for name, value in scheme.to_dict().items():
        if name not in ('name', 'patch_size', 'grid') and value:
            words.append(name.replace('_', ' ') + ('' if value is True else f' {value:g}'))
    return ', '.join(words)


def ways_of_use(scheme: Scheme) -> list[tuple[str, str]]:
    """(way of use, what these figures say about it)."""
    if scheme.shuffles:
        return [
            ('Backbone elsewhere, no key',
             'The host of the backbone sees these pictures in shuffled order: everything above '
             'applies to it.'),
            ('Training elsewhere, with the key',
             'Whoever trains has the key and sees the patches in order: seal without shuffling '
             'and attack that, for what such a trainer can recover.'),
        ]
    return [('Training elsewhere', 'Whoever trains sees these pictures, patches in order, and the '
             'boxes: everything above applies to them.')]


def picture_rows(material: Material, report: Mapping, recovered: Mapping[str, Sequence[Recovery]],
                 count: int = 4) -> list[PictureRow]:
    """Some victims: plain, sealed, and what each attacker made of them, the best attacker first.

    The first are the worst cases of the two best attackers, the others as drawn.

    Args:
        material (Material): The victims.
        report (Mapping): Of :func:`build_report`.
        recovered (Mapping): By name of the attacker, one recovery for each victim.
        count (int): Victims to show, at most.
    """
    best = sorted((row for row in report['rows'] if row['metrics']),
                  key=lambda row: -row['metrics']['ssim']['mean'])
    notes: dict[int, str] = {}
    for row in best[:2]:
        worst = row['metrics']['ssim']
        notes.setdefault(worst['worst_index'], f'worst case: what "{row["name"]}" recovered best, '
                         f'SSIM {worst["worst"]:.2f}')
    chosen = list(dict.fromkeys([*notes, *range(len(material.victims))]))[:count]
    names = [row['name'] for row in best]
    return [_pictures_of(material, recovered, names, index, notes.get(index, ''))
            for index in chosen]


def _pictures_of(material: Material, recovered: Mapping[str, Sequence[Recovery]],
                 names: Sequence[str], index: int, note: str) -> PictureRow:
    victim = material.victims[index]
    size = victim.plain.shape[1], victim.plain.shape[0]
    sealed = victim.encrypted
    how = 'sealed'
    if sealed.shape != victim.plain.shape:
        sealed = cv2.resize(sealed, size, interpolation=cv2.INTER_NEAREST)
        how += f', enlarged {material.scheme.grid} times'
    return PictureRow(victim.name, [
        ('plain', victim.plain), (how, sealed),
        *((f'recovered by {name}, SSIM {ssim(victim.plain, recovered[name][index].img):.2f}',
           recovered[name][index].img) for name in names)], note)
