"""Plans: done once, halved, interrupted, killed and failed."""
from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from mmppvit.plan import training_run
from mmppvit.plan.choices import parse_candidate
from mmppvit.plan.outcome import finish
from mmppvit.plan.plan_rows import read_rows
from mmppvit.plan.planner import Plan, PlanOptions, Prepared
from mmppvit.plan.training_run import Ended


class QuickPlan(Plan):
    """A plan whose configs are made by nobody."""

    def _check(self) -> None:
        pass

    def _prepare(self, training) -> Prepared:
        return Prepared(self.options.epochs, 100, 16., 1.5, 'shapes')


class Trainer:
    """Leaves what a training leaves, with the mAP that ``scores`` has for it.

    Args:
        scores (dict): By scheme, the mAP of every seed.
        interrupt (int, optional): The call that Ctrl-C ends.
    """

    def __init__(self, scores: dict[str, list[float]], interrupt: int | None = None) -> None:
        self.scores, self.interrupt = scores, interrupt
        self.calls: list[tuple[str, int, bool]] = []

    def __call__(self, args, log, keep=()) -> Ended:
        if len(self.calls) == self.interrupt:
            raise KeyboardInterrupt
        folder = args[args.index('--work-dir') + 1]
        epochs = int(args[args.index('--cfg-options') + 1].partition('=')[2])
        self.calls.append((folder.name, epochs, '--resume' in args))
        (folder / 'now/vis_data').mkdir(parents=True, exist_ok=True)
        (folder / f'epoch_{epochs}.pth').touch()
        (folder / 'last_checkpoint').write_text(str(folder / f'epoch_{epochs}.pth'))
        score = self.scores[folder.name.partition('_')[0]][int(folder.name[-1])]
        line = {'coco/bbox_mAP': score, 'step': epochs}
        with (folder / 'now/vis_data/scalars.json').open('a') as file:
            file.write(json.dumps(line) + '\n')
        return Ended(0, 2., 1.)


def plan_of(config: Path | str, out: Path, schemes: str, start, said: list | None = None,
            kind: type[Plan] = Plan, **options) -> Plan:
    options = (dict(statistics=2) if 'images_seen' in options else
               dict(epochs=1, statistics=2)) | options
    return kind(PlanOptions(str(config), out, [parse_candidate(s) for s in schemes.split()],
                            **options), (said if said is not None else []).append, start)


def quick(out: Path, schemes: str, start, **options) -> Plan:
    return plan_of('small.py', out, schemes, start, kind=QuickPlan, **options)


# --- which trainings, exactly ---------------------------------------------------------------------

SCORES = dict(plain=[.5, .5], mix=[.45, .47], blur=[.49, .49], downsample=[.4, .48])
FOUR = 'blur:strength=4 mix mix+shuffle downsample'


def test_halving_exactly(tmp_path):
    """mix+shuffle hides more than mix, blur has more mAP than downsample: these two go on."""
    start, said = Trainer(SCORES), []
    plan = quick(tmp_path, FOUR, start, said=said, epochs=5, seeds=2, halving=True)
    rows = plan.run()
    first, second = start.calls[:8], start.calls[8:]
    assert {call[1:] for call in first} == {(2, False)}
    assert second == [(f'{name}_seed{seed}', 5, True) for seed in (0, 1)
                      for name in ('plain_P16', 'blur_P16_s4', 'mix_P16_g2')]
    found = {row.label: (row.status, row.epochs, row.images_seen, row.seconds)
             for row in rows if row.seed == 1}
    assert found == {
        'plain P16': ('done', 5, 500, 4), 'blur P16 s4': ('done', 5, 500, 4),
        'mix P16 g2': ('done', 5, 500, 4), 'mix+shuffle P16 g2': ('done', 5, 500, 4),
        'downsample P16 g2': ('dropped', 2, 200, 2)}
    assert [line for line in said if line.startswith('after')] == [
        'after a third: blur P16 s4, mix+shuffle P16 g2, plain P16 go on; mix P16 g2, downsample '
        'P16 g2 are dropped']


def test_what_is_done_is_not_done_again(tmp_path):
    options = dict(epochs=5, halving=True)
    rows = quick(tmp_path, FOUR, Trainer(SCORES), **options).run()
    start = Trainer(SCORES)
    assert quick(tmp_path, FOUR, start, **options).run() == rows
    assert not start.calls
    quick(tmp_path, FOUR, start, seeds=2, **options).run()
    assert {name[-1] for name, _, _ in start.calls} == {'1'}, 'seeds may be added'
    with pytest.raises(ValueError, match='holds a plan with epochs 5, and this one has 2'):
        quick(tmp_path, FOUR, start, epochs=2, halving=True).run()
    with pytest.raises(ValueError, match='holds a plan with statistics 2, and this one has 3'):
        quick(tmp_path, FOUR, start, **options, statistics=3).run()
    earlier = json.loads((tmp_path / 'plan.json').read_text())
    del earlier['statistics']  # which an earlier version did not write
    (tmp_path / 'plan.json').write_text(json.dumps(earlier))
    quick(tmp_path, FOUR, start, **options).run()
    assert json.loads((tmp_path / 'plan.json').read_text())['statistics'] == 2


@pytest.mark.parametrize('interrupt', range(7))
def test_interrupted_anywhere_it_ends_as_if_it_had_not_been(tmp_path, interrupt):
    options = dict(epochs=3, halving=True)
    whole = Trainer(SCORES)
    rows = quick(tmp_path / 'whole', FOUR, whole, **options).run()
    broken = Trainer(SCORES, interrupt)
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / 'broken', FOUR, broken, **options).run()
    states = {row.status for row in read_rows(tmp_path / 'broken/plan.csv')}
    assert states <= {'waiting', 'paused', 'done', 'dropped'}
    rest = Trainer(SCORES)
    assert quick(tmp_path / 'broken', FOUR, rest, **options).run() == rows
    assert broken.calls + rest.calls == whole.calls


def test_what_failed_after_the_first_part_is_tried_again(tmp_path):
    options, trainer, rest = dict(epochs=3, halving=True), Trainer(SCORES), Trainer(SCORES)
    rows = quick(tmp_path / 'whole', FOUR, Trainer(SCORES), **options).run()

    def start(args, log, keep=()):
        failing = '--resume' in args and 'blur' in str(log)
        return Ended(1) if failing else trainer(args, log, keep)

    found = quick(tmp_path / 'broken', FOUR, start, **options).run()
    assert [row.label for row in found if row.status == 'failed'] == ['blur P16 s4']
    assert quick(tmp_path / 'broken', FOUR, rest, **options).run() == rows
    assert rest.calls == [('blur_P16_s4_seed0', 3, True)]


def test_an_interrupted_plan_ends_all_that_trains(tmp_path, monkeypatch):
    script = tmp_path / 'python'
    script.write_text('#!/bin/sh\nexec sleep 60\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))

    def start(args, log, keep=()):
        if 'plain' in str(log):
            return training_run.run_mmppvit(args, log, keep)
        while not training_run._running:
            time.sleep(.01)
        raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / 'out', 'mix', start, epochs=3, jobs=2).run()
    assert time.monotonic() - begin < 30
    assert {row.status for row in read_rows(tmp_path / 'out/plan.csv')} == {'waiting'}


def test_several_at_a_time_give_the_same_rows(tmp_path):
    options = dict(epochs=3, seeds=2)
    one = quick(tmp_path / 'one', FOUR, Trainer(SCORES), **options).run()
    assert quick(tmp_path / 'two', FOUR, Trainer(SCORES), jobs=2, **options).run() == one
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path / 'three', FOUR, Trainer(SCORES, 2), jobs=2, **options).run()


def test_the_verdict_counts_what_was_trained_in_order_as_shuffled(tmp_path):
    _, verdict = finish(quick(tmp_path, FOUR, Trainer(SCORES)), .1)
    assert verdict.taken == 'mix+shuffle P16 g2'
    assert (tmp_path / 'plan.png').is_file()


@pytest.mark.parametrize(('options', 'error'), [
    (dict(epochs=1, images_seen=4), 'give one of them'),
    (dict(epochs=1, halving=True), '--halving needs 2 epochs'),
])
def test_wrong_options(tmp_path, options, error):
    with pytest.raises(ValueError, match=error):
        plan_of('any.py', tmp_path, 'mix', None, **options)


def test_two_plans_do_not_share_a_folder(tmp_path):
    def start(args, log, keep=()):
        with pytest.raises(ValueError, match='another plan runs there'):
            quick(tmp_path, 'plain', start).run()
        return Ended(1)

    row, = quick(tmp_path, 'plain', start).run()
    assert row.status == 'failed'


# --- real trainings -------------------------------------------------------------------------------

def test_a_training_in_two_parts(small_config, warm, tmp_path):
    plan = plan_of(small_config, tmp_path, 'plain', warm, images_seen=12, halving=True)
    row, = plan.run()
    assert read_rows(tmp_path / 'plan.csv') == [row]
    assert (row.status, row.epochs, row.images_seen) == ('done', 3, 12)  # four of six
    assert 0 <= row.map <= 1
    assert 0 <= row.map_first <= 1
    assert row.tokens == 16  # 64 / 16 squared
    assert .2 < row.object_patches < 4
    assert row.data == 'shapes'
    assert 'resumed epoch: 1' in (tmp_path / 'runs' / row.run / 'log.txt').read_text()


def test_a_killed_training_goes_on_from_its_checkpoint(small_config, warm, tmp_path):
    config = tmp_path / 'killed.py'
    config.write_text(f'_base_ = {str(small_config)!r}\ncustom_hooks = [*_base_.custom_hooks, dict('
                      f"type='KillOnce', marker={str(tmp_path / 'marker')!r}, epoch=1)]\n")
    row, = plan_of(config, tmp_path / 'out', 'plain', warm, epochs=2).run()
    assert (row.status, row.map) == ('failed', None)
    assert row.error == 'the process ended by signal 9'
    row, = plan_of(config, tmp_path / 'out', 'plain', warm, epochs=2).run()
    assert (row.status, row.epochs, row.error) == ('done', 2, '')
    assert 'resumed epoch: 1' in (tmp_path / 'out/runs' / row.run / 'log.txt').read_text()


def test_a_failed_training_is_a_row_and_the_plan_goes_on(small_config, warm, tmp_path):
    """Patches of 6 give no pyramid of powers of two."""
    rows, verdict = finish(plan_of(small_config, tmp_path, 'mix:patch_size=6', warm), .03)
    assert [(row.label, row.status) for row in rows] == [
        ('plain P6', 'failed'), ('mix P6 g2', 'failed')]
    assert all(row.error.startswith('scale_factors must be powers of two') for row in rows)
    assert verdict.lines[0] == 'No verdict: no training on plain images was done.'
    assert verdict.lines[2].startswith('mix P6 g2, seed 0, failed: scale_factors must be')


def test_a_config_that_was_mended_is_read_anew(small_config, tmp_path):
    """Until a training has a checkpoint, which its config belongs to."""
    found = []

    def start(args, log, keep=()):
        found.append(args[1].read_text())
        return Ended(2)

    config = tmp_path / 'mine.py'
    for size in (2, 3):
        config.write_text(f'_base_ = {str(small_config)!r}\n'
                          f'train_dataloader = dict(batch_size={size})\n')
        plan_of(config, tmp_path / 'out', 'plain', start).run()
        assert f'batch_size={size}' in found[-1]
    (tmp_path / 'out/runs/plain_P16_seed0/epoch_1.pth').touch()
    (tmp_path / 'out/runs/plain_P16_seed0/last_checkpoint').write_text('epoch_1.pth')
    config.write_text(f'_base_ = {str(small_config)!r}\n')
    plan_of(config, tmp_path / 'out', 'plain', start).run()
    assert 'batch_size=3' in (tmp_path / 'out/runs/plain_P16_seed0/config.py').read_text()


def test_estimate(small_config, tmp_path):
    (training, known, seconds), = plan_of(small_config, tmp_path, 'plain', None,
                                          images_seen=12).estimate()
    assert training.name == 'plain_P16_seed0'
    assert (known.epochs, known.num_images) == (2, 6)
    assert 0 < seconds < 60
    assert not (tmp_path / 'plan.csv').exists()
