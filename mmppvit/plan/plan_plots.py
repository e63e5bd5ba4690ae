"""Plots of plans."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmppvit.plan.choices import PLAIN
from mmppvit.plan.plan_rows import Row
from mmppvit.plan.size_curve import Ratio
from mmppvit.utils.atomic import replace_file

__all__ = ['plot_curve', 'plot_plan']

# Colors of Okabe and Ito, told apart with any color vision, and a marker each.
_LOOKS = [('o', '#0072B2'), ('s', '#D55E00'), ('^', '#009E73'), ('D', '#CC79A7'), ('v', '#E69F00'),
          ('P', '#56B4E9'), ('X', '#000000'), ('*', '#F0E442')]
_HIGHEST = 1.3  # ratio: where plain images were not learned, one point would flatten the others


def plot_plan(path: Path, rows: Sequence[Row], hidden: Mapping[str, float], max_loss: float,
              measured: bool = False) -> None:
    """A PNG of mAP against what the scheme hides, with the budget as a line.

    Args:
        path (Path): The file.
        rows (Sequence[Row]): Those with a mAP are drawn, hollow where they were not trained to the
            end; bars reach from the worst to the best seed.
        hidden (Mapping): By label, how much a scheme hides.
        max_loss (float): Share of the plain mAP that may be lost.
        measured (bool): Whether ``hidden`` is of reports, or the fixed ranking.
    """
    figure, axes = _figure()
    scored, plain = [row for row in rows if row.map is not None], []
    for label in dict.fromkeys(row.label for row in scored):
        own = [row for row in scored if row.label == label]
        values = [row.map for row in own]
        color = '#0072B2'
        if own[0].scheme == PLAIN:
            color = '#009E73'
            plain.append(mean(values))
        done = all(row.status == 'done' for row in own)
        axes.plot([hidden[label]] * 2, [min(values), max(values)], color=color, linewidth=1)
        axes.scatter([hidden[label]], [mean(values)], s=55, zorder=3, edgecolors=color,
                     facecolors=color if done else 'white')
        axes.annotate(label, (hidden[label], mean(values)), (7, 5), textcoords='offset points',
                      fontsize=8)
    if plain:
        axes.axhline(max(plain) * (1 - max_loss), color='.5', linestyle='--', linewidth=1)
        axes.annotate(f'{max_loss:.0%} less than plain', (.01, max(plain) * (1 - max_loss)),
                      (0, 3), xycoords=('axes fraction', 'data'), textcoords='offset points',
                      fontsize=8, color='.4')
    axes.set(ylabel='detector mAP', xlabel='share that the best attacks leave hidden' if measured
             else 'what the scheme hides: place in the fixed ranking')
    axes.margins(x=.15, y=.15)
    _save(figure, path)


def plot_curve(path: Path, found: Sequence[Ratio]) -> None:
    """A PNG of mAP relative to plain images against the median side of objects in patches.

    Points whose control has patches of another size are hollow; those beyond the axis lie at its
    end, with their ratio beside them.
    """
    figure, axes = _figure()
    schemes = list(dict.fromkeys(one.scheme for one in found))
    for place, (scheme, (marker, color)) in enumerate(
            zip(schemes, _LOOKS * len(schemes), strict=False)):
        aside = 1.03**(place - (len(schemes) - 1) / 2)  # equal ratios lie beside each other
        for equal in (True, False):
            own = [one for one in found if (one.scheme, one.equal) == (scheme, equal)]
            axes.scatter([one.object_patches * aside for one in own],
                         [min(one.ratio, _HIGHEST) for one in own],
                         marker=marker, edgecolors=color, facecolors=color if equal else 'none',
                         s=40, zorder=3, label=scheme if equal else None)
    for data in dict.fromkeys(one.data for one in found):
        for side in {one.object_patches for one in found if one.data == data}:
            low = min(one.ratio for one in found
                      if one.data == data and one.object_patches == side)
            above = f', {low:.2f} (beyond the axis)' if low > _HIGHEST else ''
            axes.annotate(data + above, (side, min(low, _HIGHEST)), (0, -13),
                          textcoords='offset points', fontsize=7, ha='center', color='.35')
    axes.axhline(1, color='.5', linewidth=1)
    axes.axhline(.97, color='.5', linestyle='--', linewidth=1)
    axes.set_xscale('log', base=2)
    axes.set_xticks([.5, 1, 2, 4, 8], ['0.5', '1', '2', '4', '8'])
    axes.set(xlabel='median side of an object, in patches', ylabel='mAP / mAP on plain images')
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc='lower right')
    _save(figure, path)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 5.2), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(color='.92')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with replace_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format='png')
