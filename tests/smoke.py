"""What must work with any supported versions: ``make test-newest`` and ``make test-oldest`` run it.

    python tests/smoke.py     # in the environment that is to be tried, outside of the source tree

Uses the package as it is installed, by its command line, and nothing that only tests need.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = 'atss_pevit-tiny_mix_bccd'  # of the package, named without a path


def mmppvit(*args: object, **env: str) -> str:
    """Run the command, and end with its output if it fails."""
    print('+ mmppvit', *args, flush=True)
    done = subprocess.run([sys.executable, '-m', 'mmppvit', *map(str, args)], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **env})
    if done.returncode:
        sys.exit(f'{done.stdout}\nexit status {done.returncode}')
    return done.stdout


def draw(folder: Path) -> tuple[Path, list[str]]:
    """Synthetic shapes in the layout of BCCD: 12 images to train on, three batches of four."""
    from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
    shapes = write_synthetic_shapes(folder / 'shapes', 6, 2, (128, 96))
    bccd = folder / 'data/bccd'
    (bccd / 'annotations').mkdir(parents=True)
    shutil.copytree(shapes / 'train2017', bccd / 'images')
    annotations = shapes / 'annotations/instances_train2017.json'
    for split in ('train', 'val', 'test'):
        shutil.copy(annotations, bccd / f'annotations/instances_{split}.json')
    return bccd, [c['name'] for c in json.loads(annotations.read_text())['categories']]


def check_seal(folder: Path, bccd: Path) -> None:
    key = folder / 'owner.key'
    mmppvit('keygen', key)
    mmppvit('seal', '--ann', bccd / 'annotations/instances_train.json', '--img-dir',
            bccd / 'images', '--out', folder / 'sealed', '--scheme', 'mix+center+shuffle',
            '--key-file', key)
    mmppvit('verify', folder / 'sealed', '--key-file', key)


def check_training(folder: Path, classes: list[str]) -> None:
    """Three iterations, and a config of the user's own that inherits from the package's."""
    child = folder / 'child.py'
    child.write_text(f'_base_ = __import__("mmppvit").config_path({CONFIG!r})\n')
    for config in (CONFIG, child):
        work = folder / 'work' / Path(str(config)).stem
        mmppvit('train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1',
                'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
                'default_hooks.logger.interval=1', f'custom_classes={",".join(classes)}',
                MMPPVIT_DATA=str(folder / 'data'))
        lines = next(work.glob('*/vis_data/scalars.json')).read_text().splitlines()
        losses = [json.loads(line)['loss'] for line in lines if 'loss' in json.loads(line)]
        assert len(losses) == 3, losses
        assert all(0 < loss < 100 for loss in losses), losses
        print('losses', losses)


def check_operators() -> None:
    import torch
    from mmcv.ops import nms, roi_align

    import mmppvit.register  # noqa: F401
    boxes = torch.tensor([[0., 0., 10., 10.], [1., 1., 11., 11.], [20., 20., 30., 30.]])
    assert nms(boxes, torch.tensor([.9, .8, .7]), .5)[1].tolist() == [0, 2]
    # A map whose value is its column: the mean of a bin is the column of its center.
    columns = torch.arange(8.).expand(1, 1, 8, 8).contiguous()
    pooled = roi_align(columns, torch.tensor([[0., 2., 2., 6., 6.]]), (2, 2), 1., 0, 'avg', True)
    torch.testing.assert_close(pooled, torch.tensor([2.5, 4.5]).expand(1, 1, 2, 2))


def check_pickles(folder: Path) -> None:
    """A checkpoint that would run code is refused, and has not run it."""
    import torch
    from mmengine.runner.checkpoint import load_checkpoint
    marker = folder / 'ran'

    class Payload:
        def __reduce__(self):
            return Path.touch, (marker, )

    torch.save(dict(state_dict={}, meta=Payload()), folder / 'payload.pth')
    try:
        load_checkpoint(torch.nn.Linear(1, 1), str(folder / 'payload.pth'))
    except Exception as error:
        if 'weights' not in str(error).lower():
            raise
    else:
        sys.exit('a pickle was loaded')
    assert not marker.exists()


def main() -> None:
    started = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        bccd, classes = draw(folder)
        check_seal(folder, bccd)
        check_operators()
        check_pickles(folder)
        check_training(folder, classes)
    import mmcv
    import mmdet
    import numpy
    import timm
    import torch
    import torchvision
    print('smoke test passed in', round(time.time() - started), 's:', ', '.join(
        f'{m.__name__} {m.__version__}' for m in (torch, torchvision, mmcv, mmdet, timm, numpy)))


if __name__ == '__main__':
    main()
