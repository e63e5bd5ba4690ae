"""The privacy-utility plane as an image."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from mmppvit.attacks.comparison.plane import MEASURES, Point, front
from mmppvit.utils.atomic import replace_file

__all__ = ['write_plot']

_KINDS = [  # colors of Okabe and Ito, told apart with any color vision; markers in gray as well
    (False, 'o', '#0072B2', 'schemes'),
    (True, 's', '#D55E00', 'baselines'),
]
_AROUND = [(8, 5), (8, -13), (-8, 5), (-8, -13), (0, 10), (0, -18), (14, 18), (14, -26), (-14, 18),
           (-14, -26), (0, 26), (0, -34), (20, 32), (-20, 32)]  # points, nearest first
_LINE = dict(arrowstyle='-', color='.6', linewidth=.7, shrinkA=0, shrinkB=4)


def write_plot(path: Path, points: Sequence[Point]) -> None:
    """A PNG with a panel for each measure that any of ``points`` has: mAP across, success up.

    Points on the Pareto front of a panel have a ring, and the stairs beneath the others join them.
    """
    measures = [key for key in MEASURES if any(key in point.vector for point in points)]
    figure = Figure(figsize=(6.2 * len(measures), 5.8), layout='constrained')
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(measures), squeeze=False, sharex=True)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _draw(axes, [point for point in points if measure in point.vector], measure)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=len(labels), frameon=False)
    canvas.draw()  # places of labels follow the final layout
    figure.set_layout_engine('none')
    for axes, measure in zip(panels, measures, strict=True):
        _label(axes, [point for point in points if measure in point.vector], measure)
    with replace_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format='png')


def _draw(axes: Axes, points: Sequence[Point], measure: str) -> None:
    best = front(points, measure)
    across, up = ([point.map for point in best], [point.vector[measure] for point in best])
    axes.plot(across, up, drawstyle='steps-pre', color='.6', zorder=1)
    axes.scatter(across, up, s=170, facecolors='none', edgecolors='black', linewidths=1.3,
                 zorder=2, label='Pareto front')
    for baseline, marker, color, label in _KINDS:
        kind = [point for point in points if point.baseline == baseline]
        axes.scatter([point.map for point in kind], [point.vector[measure] for point in kind],
                     marker=marker, color=color, s=55, zorder=3, label=label)
    axes.set(title=MEASURES[measure], xlabel='detector mAP (higher is better)',
             ylabel='best attack (lower is better)', ylim=(-.12, 1.42),
             yticks=np.arange(0, 1.01, .2))
    axes.margins(x=.3)
    axes.grid(color='.92')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def _label(axes: Axes, points: Sequence[Point], measure: str) -> None:
    """Names beside their points, where they hide neither points nor other names."""
    spots = [(point.map, point.vector[measure]) for point in points]
    taken = [(x - 9, y - 9, x + 9, y + 9) for x, y in axes.transData.transform(spots)]
    frame, renderer = axes.get_window_extent().extents, axes.figure.canvas.get_renderer()
    for point, spot in zip(points, spots, strict=True):
        tried = []
        for right, up in _AROUND:
            side = 'center' if not right else 'left' if right > 0 else 'right'
            text = axes.annotate(point.name, spot, (right, up), textcoords='offset points',
                                 ha=side, fontsize=8, zorder=4, arrowprops=_LINE)
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer).extents  # without the line to the point
            text.remove()
            hidden = sum(_overlap(box, other) for other in taken)
            inside = _overlap(box, frame)
            outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
            tried.append((hidden + 2 * outside, len(tried), text, box))
        _, _, text, box = min(tried, key=lambda item: item[:2])
        axes.add_artist(text)
        taken.append(box)


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Area that two boxes (x0, y0, x1, y1) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return float(np.maximum(width, 0) * np.maximum(height, 0))
