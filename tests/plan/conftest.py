"""A config whose trainings take a second, and trainings in warm processes."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.plan.training_run import Ended

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = {base!r}
model = dict(
    backbone=dict(arch=dict(embed_dims=32, num_layers=1, num_heads=2)),
    neck=dict(in_channels=32, out_channels=16, num_blocks=0),
    bbox_head=dict(num_classes=5, in_channels=16, feat_channels=16, stacked_convs=1,
                   norm_cfg=dict(type='GN', num_groups=4)))
data = dict(
    data_root={data!r},
    metainfo=dict(classes=('ellipse', 'rectangle', 'triangle', 'star', 'cross')))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(
        data, ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/')))
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(
        data, ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={data!r} + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
custom_imports = dict(imports=['mmppvit', 'tests.plan.kill_once'], allow_failed_imports=False)
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope='session')
def small_config(tmp_path_factory) -> Iterator[Path]:
    """Six training and three test images of 64x64, a detector of one block."""
    folder = tmp_path_factory.mktemp('plan')
    data = write_synthetic_shapes(folder / 'shapes', 6, 3, (64, 64))
    path = folder / 'small.py'
    base = ROOT / 'configs/facemask/atss_pevit-tiny_scheme_facemask.py'
    path.write_text(CONFIG.format(base=str(base), data=str(data)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('WIDTH', '64')
        patch.setenv('HEIGHT', '64')
        yield path


@pytest.fixture(scope='session')
def warm(run_python) -> Callable:
    """As ``run_mmppvit``; keeps what it was asked for in ``warm.calls``."""

    def start(args, log, keep=()) -> Ended:
        start.calls.append([str(arg) for arg in args])
        done = run_python('-m', 'mmppvit', *args)
        with log.open('a') as file:
            file.write(done.stdout + done.stderr)
        return Ended(done.returncode, 2., 1.)

    start.calls = []
    return start
