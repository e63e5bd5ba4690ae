"""``mmppvit.attacks.runner``: each attacker in a process of its own."""
from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmppvit.attacks import runner
from mmppvit.attacks.attack_device import check_device
from mmppvit.attacks.runner import (
    AttackSettings,
    extrapolated,
    load_reconstructions,
    run_attacks,
)
from tests.attacks.failing import FAILING, Greedy, Honest, Known, Slow


def _run(settings, out, *kinds, said=None):
    attackers = {kind.name: kind for kind in kinds}
    say = said.append if said is not None else lambda line: None
    return {result.name: result
            for result in run_attacks(settings, settings.load(), attackers, out, say)}


@pytest.fixture(scope='module')
def failed(sealed, tmp_path_factory):
    """Every way to fail, one after the other, and one that does not."""
    kinds = [kind for kind in FAILING.values() if kind is not Slow]
    settings = sealed.settings('mix+shuffle', memory=8., budget=0., key_file=str(sealed.key_file))
    out, said = tmp_path_factory.mktemp('failed'), []
    return _run(settings, out, *kinds, Known, Honest, said=said), out, said


@pytest.mark.parametrize(('name', 'status', 'reason'), [
    ('raises', 'failed', """KeyError: '<nothing> & "such"'"""),
    ('exits', 'failed', 'its process ended with exit code 3'),
    ('leaves', 'failed', 'its process ended with exit code 1'),
    ('killed', 'failed', 'its process ended with exit code -9 (killed, perhaps for memory)'),
    ('greedy', 'failed', 'out of memory (8 GiB allowed)'),
    ('greedy-torch', 'failed', 'out of memory (8 GiB allowed)'),
    ('late', 'out of time', 'nothing learned yet'),
    ('misshapen', 'failed', 'ValueError: it made a uint8 image of shape (23, 32, 3)'),
    ('disorderly', 'failed', 'is no order of 3 x 4 patches'),
    ('known', 'done', ''),
    ('honest', 'done', ''),
])
def test_each_failure_is_told_and_the_others_complete(failed, name, status, reason):
    result = failed[0][name]
    assert result.status == status
    assert reason in result.reason
    assert result.seconds >= 0
    said = [line for line in failed[2] if f' {name}: ' in line]
    assert len(said) == 2
    assert f'{status} after' in said[1]
    assert json.loads((failed[1] / 'reconstructed' / name / 'result.json').read_text())[
        'status'] == status


def test_too_little_memory_to_begin_with(sealed, tmp_path):
    """It is not taken for images that cannot be read."""
    result = _run(sealed.settings('mix', memory=.001), tmp_path, Greedy)['greedy']
    assert (result.status, result.reason) == ('failed', 'out of memory (0.001 GiB allowed)')


def test_what_takes_too_long_is_stopped(sealed, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, 'MINUTE', .5)
    monkeypatch.setattr(runner, 'PER_VICTIM', 0.)
    result = _run(sealed.settings('mix', budget=.1), tmp_path, Slow)['slow']
    assert (result.status, result.reason) == ('out of time', 'stopped after 1 s')


def test_reconstructions_come_back(failed, sealed):
    data = sealed.settings('mix+shuffle').load()
    reconstructed = load_reconstructions(failed[1], 'honest', 3)
    honest = Honest(data.scheme)
    for victim, reconstruction in zip(data.victims, reconstructed, strict=True):
        np.testing.assert_array_equal(reconstruction.img, honest.reconstruct(victim.encrypted).img)
        np.testing.assert_array_equal(reconstruction.order, np.arange(12))


def test_resume(sealed, tmp_path):
    """Kept with the same settings, the key file apart; computed again with others or if torn."""
    settings, said = sealed.settings('mix'), []
    first = _run(settings, tmp_path, Honest)
    assert _run(settings, tmp_path, Honest, said=said) == first
    keyed = replace(settings, key_file=str(sealed.key_file))
    assert _run(keyed, tmp_path, Honest, said=said) == first
    assert said == ['1/1 honest: kept from before'] * 2

    for path in ('1.png', 'orders.npz', 'result.json'):
        (tmp_path / 'reconstructed/honest' / path).unlink()
        assert _computed(settings, tmp_path)
    for other in (dict(num_victims=2), dict(seed=1), dict(budget=2.), dict(num_pairs=4)):
        assert _computed(replace(settings, **other), tmp_path), other
    assert not _computed(replace(settings, num_pairs=4), tmp_path)


def _computed(settings, out) -> bool:
    said = []
    _run(settings, out, Honest, said=said)
    return 'done after' in said[-1]


def test_failures_are_tried_again_and_interrupted_runs_are_not_whole(sealed, tmp_path, monkeypatch):
    settings = sealed.settings('mix')
    folder = tmp_path / 'reconstructed/honest'
    done = _run(settings, tmp_path, Honest)['honest']
    failed = replace(done, status='failed')
    (folder / 'result.json').write_text(json.dumps(vars(failed)))
    assert _run(settings, tmp_path, Honest)['honest'].status == 'done'

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, '_watch', interrupt)
    with pytest.raises(KeyboardInterrupt):
        _run(replace(settings, seed=1), tmp_path, Honest)
    assert not (folder / 'result.json').exists(), 'its images may be those of either seed'


def test_what_has_no_meaning_is_not_run(sealed, tmp_path):
    class Elsewhere(Honest):
        name = 'elsewhere'

        @classmethod
        def not_for(cls, scheme):
            return f'{scheme.name} is not for it'

    result = _run(sealed.settings('mix'), tmp_path, Elsewhere)['elsewhere']
    assert (result.status, result.reason) == ('not for this scheme', 'mix is not for it')
    assert not (tmp_path / 'reconstructed').exists()


@pytest.mark.parametrize(('name', 'value'), [
    ('num_victims', 1), ('num_pairs', 0), ('scale', -1), ('seed', -1), ('budget', -1.),
    ('budget', math.nan), ('threads', 0), ('memory', -1.)])
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=name.replace('_', ' ')):
        AttackSettings('sealed', 'plain', **{name: value})


@pytest.mark.parametrize('name', [
    'gpu', 'meta', 'cuda:', 'cuda:-1', 'cuda:01', 'cuda:\u0661', 'CUDA', 'cuda:0\n', ''])
def test_no_device(name):
    with pytest.raises(ValueError, match='device must be cpu, cuda, or cuda:1'):
        AttackSettings('sealed', 'plain', device=name)


def test_memory_of_a_gpu_is_not_limited():
    with pytest.raises(ValueError, match='leave --memory out'):
        AttackSettings('sealed', 'plain', device='cuda', memory=4.)


@pytest.mark.parametrize(('count', 'device', 'said'), [
    (0, 'cuda', 'finds no GPU here; install its build for CUDA'),
    (2, 'cuda:2', 'there are 2 GPUs here, counted from cuda:0'),
    (2, 'cuda:1', ''), (1, 'cuda', ''), (0, 'cpu', '')])
def test_whether_the_device_is_there(monkeypatch, count, device, said):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: count > 0)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    with pytest.raises(ValueError, match=said) if said else nullcontext():
        check_device(device)


def test_results_of_a_gpu_are_others_than_those_of_the_cpu(sealed):
    """Whichever GPU of several it is."""
    settings = sealed.settings('mix')
    on_cpu, on_gpu, on_another = (replace(settings, device=name).digest('x')
                                  for name in ('cpu', 'cuda', 'cuda:1'))
    assert on_cpu == settings.digest('x')
    assert on_cpu != on_gpu == on_another


def test_attackers_learn_on_the_device(sealed, tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, 'set_default_device', chosen.append)
    for device in ('cpu', 'cuda:1'):
        runner._learn_and_reconstruct(sealed.settings('mix', device=device), Honest, tmp_path)
    assert chosen == ['cuda:1']


def test_curves_are_followed_by_power_laws():
    assert extrapolated([(t, 3 * t**-.5) for t in (10, 20, 40)], 100) == pytest.approx(
        3 * 4000**-.5)
    assert extrapolated([(10, 1.), (20, 2.)], 10) == 2.  # more time does no harm
    assert extrapolated([(10, 1.)], 10) is None
    assert extrapolated([(10, 1.), (20, 0.)], 10) is None


@pytest.mark.parametrize(('longest', 'errors', 'seconds'), [
    (0., [1.], [1.]),
    (7., [1., .9, .8], [1., 2., 4.]),  # 8 s would be longer
    (100., [1., .9, .89], [1., 2., 4.]),  # settled
])
def test_learners_get_twice_the_time_until_that_does_not_help(sealed, monkeypatch, longest, errors,
                                                              seconds):
    left, steps = list(errors), []

    class Learner(Honest):
        max_steps = 10

        def fit(self, pairs, budget):
            steps.append((self.max_steps, budget.seconds))
            self.error = left.pop(0)

    settings = sealed.settings('mix', budget=1., longest=longest)
    attacker, curve = runner._learn(settings, Learner, settings.load())
    assert curve == list(zip(seconds, errors, strict=True))
    assert steps == [(10 * time, time) for time in seconds]
    assert attacker.error == errors[-1]


@pytest.mark.parametrize(('budget', 'steps'), [(100., 10), (1800., 150), (float('inf'), 10)])
def test_limits_of_steps_leave_no_time_unused(sealed, budget, steps):
    """They are for minutes, so half an hour allows more of them."""
    class Learner(Honest):
        max_steps = 10

        def fit(self, pairs, budget):
            self.error = 1.

    settings = sealed.settings('mix', budget=budget)
    assert runner._learn(settings, Learner, settings.load())[0].max_steps == steps


def test_who_does_not_learn_runs_once(sealed):
    settings = sealed.settings('mix', budget=1., longest=100.)
    assert runner._learn(settings, Honest, settings.load())[1] == []


def test_curves_are_kept_and_results_of_before_are_read(sealed, tmp_path):
    settings = sealed.settings('mix', longest=9.)
    assert settings.digest('x') != replace(settings, longest=0.).digest('x')
    _run(settings, tmp_path, Honest)
    file = tmp_path / 'reconstructed/honest/result.json'
    result = json.loads(file.read_text())
    assert result.pop('curve') == []
    file.write_text(json.dumps(result))
    said = []
    _run(settings, tmp_path, Honest, said=said)
    assert said == ['1/1 honest: kept from before']
