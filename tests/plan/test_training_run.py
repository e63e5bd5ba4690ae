"""One training: its process, its lock, and what is read from its files."""
from __future__ import annotations

import fcntl
import json

import pytest

from mmppvit.plan.training_run import Ended, Metrics, TrainingRun, run_mmppvit
from mmppvit.utils.user_errors import RunError


def test_a_process_of_its_own(tmp_path):
    log = tmp_path / 'log.txt'
    ended = run_mmppvit(['--version'], log)
    assert ended.code == 0
    assert 0 < ended.cpu_seconds < 30
    assert run_mmppvit(['nothing'], log).code == 2
    first, second = log.read_text().splitlines()
    assert first.startswith('mmppvit, version')
    assert second.startswith('error: no command nothing')


def _trained(tmp_path, lines: list[dict], epoch: int = 2, text: str = '') -> TrainingRun:
    """A folder as a training leaves it that wrote ``text`` and ended well."""
    (tmp_path / 'x/vis_data').mkdir(parents=True)
    (tmp_path / 'x/vis_data/scalars.json').write_text(
        '\n'.join(map(json.dumps, lines)) + '\n{"loss": 1')  # cut off
    (tmp_path / f'epoch_{epoch}.pth').touch()
    (tmp_path / 'last_checkpoint').write_text(f'/elsewhere/epoch_{epoch}.pth')
    return TrainingRun(tmp_path)


LOSS = dict(lr=.1, loss=2., step=4)
SCORED = {'coco/bbox_mAP': .25, 'coco/bbox_mAP_50': .5, 'coco/bbox_mAP_s': -1., 'step': 2}


def test_metrics(tmp_path):
    run = _trained(tmp_path, [LOSS, {**SCORED, 'coco/bbox_mAP': .1, 'step': 1}, LOSS, SCORED])
    assert run.epoch == 2
    assert run.train(2) == Ended(0)
    assert run.metrics(2) == Metrics(.25, .5, None)


def test_nothing_found_is_map_0(tmp_path):
    assert _trained(tmp_path, [LOSS, dict(time=1., step=2)]).metrics(2) == Metrics(0.)


def test_one_that_ended_before_its_evaluation_is_tested(tmp_path):
    def start(args, log, keep=()):
        assert args[0] == 'test'
        out = args[args.index('--work-dir') + 1] / 'now'
        out.mkdir(parents=True)
        (out / 'now.json').write_text(json.dumps(SCORED))
        return Ended(0, 3., 2.)

    run = _trained(tmp_path, [LOSS])
    run.start = start
    assert run.train(2) == Ended(0, 3., 2.)
    assert run.metrics(2) == Metrics(.25, .5, None)


def test_diverged(tmp_path):
    with pytest.raises(RunError, match='diverged'):
        _trained(tmp_path, [dict(LOSS, loss=float('nan')), SCORED]).train(2)


def test_a_lost_checkpoint_is_none(tmp_path):
    run = _trained(tmp_path, [])
    run.checkpoint(2).unlink()
    assert run.epoch == 0


@pytest.mark.parametrize(('code', 'text', 'reason'), [
    (2, 'a\nerror: no file\n', 'no file'),
    (70, 'Traceback\nKeyError: 1\n\nThis is a fault\n', 'KeyError: 1'),
    (70, 'torch.cuda.OutOfMemoryError: out\n', 'OutOfMemoryError: out'),
    (-9, 'line', 'the process ended by signal 9'),
    (3, 'line', 'the process ended with status 3, see '),
])
def test_reasons(tmp_path, code, text, reason):
    def start(args, log, keep=()):
        with log.open('a') as file:
            file.write(text)
        return Ended(code)

    (tmp_path / 'log.txt').write_text('error: of an earlier run\n')
    with pytest.raises(RunError) as err:
        TrainingRun(tmp_path, start).train(1)
    assert str(err.value).startswith(reason)


def test_a_training_whose_plan_was_killed_is_not_started_twice(tmp_path):
    with (tmp_path / 'lock').open('a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match='still trains in a process of an earlier plan'):
            TrainingRun(tmp_path).train(1)
