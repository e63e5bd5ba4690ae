"""Ratios of mAP, each to its own control."""
from __future__ import annotations

import pytest

from mmppvit.plan import plan_plots
from mmppvit.plan.plan_plots import plot_curve, plot_plan
from mmppvit.plan.plan_rows import Row, write_rows
from mmppvit.plan.size_curve import mean_ratios, ratios, read_plans


def row(data: str, scheme: str, score: float, size: float = 1.5, seed: int = 0, **more) -> Row:
    return Row('cfg', data, scheme, map=score, status=more.pop('status', 'done'), seed=seed,
               object_patches=size, tokens=400., images_seen=more.pop('images_seen', 1000),
               grid=1 if scheme == 'plain' else 2, **more)


ROWS = [row('a', 'plain', .5), row('a', 'mix', .4), row('b', 'plain', .2, 3),
        row('b', 'plain', .4, 3, seed=1), row('b', 'mix', .1, 3), row('b', 'mix', .2, 3, seed=1)]


def test_each_has_its_own_control():
    found = {(one.data, one.label): (one.ratio, one.seeds) for one in ratios(ROWS)}
    assert found == {('a', 'mix P16 g2'): (pytest.approx(.8), 1),
                     ('b', 'mix P16 g2'): (pytest.approx(.5), 2)}
    assert mean_ratios(ratios(ROWS)) == {'mix P16 g2': (pytest.approx(.65), 2)}


@pytest.mark.parametrize('change', [
    dict(images_seen=999), dict(status='dropped'), dict(seed=5)])
def test_others_are_no_control(change):
    with pytest.raises(ValueError, match='plain control'):
        ratios([row('a', 'plain', .5), row('a', 'mix', .4, **change)])


def test_ap50():
    rows = [row('a', 'plain', .5, map50=.8), row('a', 'mix', .4, map50=.6)]
    assert ratios(rows)[0].ratio50 == pytest.approx(.75)
    assert ratios([row('a', 'plain', .5), rows[1]])[0].ratio50 is None


def test_patches_of_another_size():
    """They are a control only where no other is there, and that is said."""
    rows = [row('a', 'plain', .5), row('a', 'mix', .4, patch_size=8)]
    assert [(one.ratio, one.equal) for one in ratios(rows)] == [(pytest.approx(.8), False)]
    rows.append(row('a', 'plain', .8, patch_size=8))
    assert [(one.ratio, one.equal) for one in ratios(rows)] == [(pytest.approx(.5), True)]
    rows.append(row('a', 'mix', .4, patch_size=32))
    assert len(ratios(rows)) == 1


def test_plots_and_folders(tmp_path):
    write_rows(tmp_path / 'plan.csv', ROWS)
    assert read_plans([tmp_path]) == read_plans([tmp_path / 'plan.csv']) == ROWS
    plot_curve(tmp_path / 'curve.png', ratios(ROWS))
    plot_plan(tmp_path / 'plan.png', ROWS[2:], {'plain P16': 0, 'mix P16 g2': 2}, .03)
    for name in ('curve.png', 'plan.png'):
        assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def test_the_line_is_that_of_the_verdict(tmp_path, monkeypatch):
    """The budget is a share of the mean over seeds, not of the best of them."""
    figures = []
    monkeypatch.setattr(plan_plots, '_save', lambda figure, path: figures.append(figure))
    plot_plan(tmp_path / 'plan.png', ROWS[2:], {'plain P16': 0, 'mix P16 g2': 2}, .1)
    assert figures[0].axes[0].lines[-1].get_ydata()[0] == pytest.approx(.27)
