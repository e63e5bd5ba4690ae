"""Curves of several trainings in one plot, and their last values.

    python benchmarks/training_curves.py release=work_dirs/a ours=work_dirs/b --out curves.png
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

_METRICS = {'coco/bbox_mAP': ('mAP', '-'), 'coco/bbox_mAP_50': ('AP50', '--')}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='+', metavar='NAME=WORK_DIR')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7.5, 3.6), layout='constrained')
    for color, (name, folder) in enumerate(run.split('=', 1) for run in args.runs):
        rows = _evaluations(Path(folder))
        for key, (metric, style) in _METRICS.items():
            values = [row[key] for row in rows]
            axes.plot([row['step'] for row in rows], values, style, marker='o', markersize=3,
                      color=f'C{color}', label=f'{name}, {metric}')
            print(f'{name}: {metric} {values[-1]:.3f} after {rows[-1]["step"]} epochs')
    axes.set(xlabel='epochs', ylabel='average precision, test images', ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=.3)
    figure.legend(loc='outside right center', frameon=False)
    figure.savefig(args.out, dpi=150)


def _evaluations(folder: Path) -> list[dict]:
    """Of the last run of a work directory that evaluated, in the order of epochs."""
    for file in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        rows = [row for row in rows if 'coco/bbox_mAP' in row]
        if rows:
            return rows
    raise SystemExit(f'{folder}: no evaluation in its logs')


if __name__ == '__main__':
    main()
