"""See it work: draw a data set, train a detector on mixed images of it, look at the result.

``python tools/demo.py`` takes four minutes on two CPU cores; ``--grid 1`` runs the same on plain
images for comparison.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TextIO

# Read when torch is imported. Threads that spin for long while they wait take the cores that the
# data loader or anything else on the machine needs: 15 times slower where cores are shared.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')

import numpy as np
import torch
from mmcv.ops import nms
from mmcv.transforms import Compose
from mmdet.apis import inference_detector, init_detector
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.utils.config_files import load_config
from mmppvit.visualization import draw_instances, enlarge, image_grid, save_image

TRAIN = Path(__file__).resolve().with_name('train.py')
CONFIG = TRAIN.parents[1] / 'configs/demo/atss_pevit_mix_shapes.py'
ENLARGE = 2  # the image grid is for people


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'),
                        help='folder for the image, log and checkpoint')
    parser.add_argument('--data-dir', type=Path,
                        help='folder of the drawn data set; WORK_DIR/synthetic_shapes if not given')
    parser.add_argument('--grid', type=int, default=2, choices=[1, 2, 4, 8],
                        help='sub-patches per side that are mixed into one; 1 is plain')
    parser.add_argument('--epochs', type=int, help="the config's if not given")
    parser.add_argument('--num-train', type=int, default=640, help='images to train on')
    parser.add_argument('--num-val', type=int, default=96, help='images to evaluate on')
    parser.add_argument('--num-rows', type=int, default=3,
                        help='rows of detections.png: the first val images')
    parser.add_argument('--score-thr', type=float, default=.3, help='of the boxes drawn there')
    args = parser.parse_args()
    args.data_dir = args.data_dir or args.work_dir / 'synthetic_shapes'
    return args


def prepare_config(args: argparse.Namespace) -> Config:
    cfg = load_config(str(CONFIG), work_dir=str(args.work_dir), cfg_options=dict(
        custom_data_root=str(args.data_dir)))
    set_grid(cfg, args.grid)
    if args.epochs:
        set_epochs(cfg, args.epochs)
    return cfg


def set_grid(cfg: Config, grid: int) -> None:
    """Mix with ``grid`` instead: strides and padding count pixels of the mixed image."""
    old, model = cfg.model.backbone.grid, cfg.model
    anchors, preprocessor = model.bbox_head.anchor_generator, model.data_preprocessor
    model.backbone.grid = grid
    anchors.strides = [stride * old // grid for stride in anchors.strides]
    preprocessor.pad_size_divisor = preprocessor.pad_size_divisor * old // grid
    for name in ('train', 'val', 'test'):
        for step in cfg[f'{name}_dataloader'].dataset.pipeline:
            if step.type == 'MixSubPatches':
                step.grid = grid


def set_epochs(cfg: Config, epochs: int) -> None:
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    for scheduler in cfg.param_scheduler:
        if 'T_max' in scheduler:
            scheduler.T_max = epochs


class ConsoleProgress(Hook):
    """One line an epoch on ``stream``, while MMEngine's own log goes to a file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.metrics: dict = {}

    def before_train(self, runner: Runner) -> None:
        self.start = time.time()

    def before_train_epoch(self, runner: Runner) -> None:
        self.losses: list[float] = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.losses.append(float(outputs['loss']))
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not last and not self.stream.isatty():
            return
        spent = time.time() - self.start
        left = spent * (runner.max_iters / (runner.iter + 1) - 1)
        text = (f'  epoch {runner.epoch + 1:2d}/{runner.max_epochs}  '
                f'step {batch_idx + 1:3d}/{len(runner.train_dataloader)}  '
                f'loss {np.mean(self.losses):.3f}  {clock(spent)} spent, {clock(left)} left')
        print(text, end='\n' if last else '\r', file=self.stream, flush=True)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self.metrics = dict(metrics or {})


def clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))[2:]


@contextmanager
def quiet_console(log: Path) -> Iterator[TextIO]:
    """Send what libraries print to ``log``; yields the real console."""
    console = sys.stdout
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w') as file, redirect_stdout(file), redirect_stderr(file), \
            warnings.catch_warnings():
        yield console


def train(cfg: Config, console: TextIO) -> tuple[dict, Path]:
    """Metrics after the last epoch and the checkpoint."""
    progress = ConsoleProgress(console)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(progress)
    runner.train()
    return progress.metrics, Path(cfg.work_dir) / f'epoch_{runner.max_epochs}.pth'


def detection_rows(cfg: Config, checkpoint: Path, files: list[Path],
                   score_thr: float) -> list[list[np.ndarray]]:
    """For each file: plain, what the model sees, and the detections on both; RGB uint8."""
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    model = init_detector(cfg, str(checkpoint), device=device)
    # inference_detector takes plain files: mixing is a step of the model's own test pipeline.
    pipeline = Compose(get_test_pipeline_cfg(cfg))
    classes, palette = model.dataset_meta['classes'], model.dataset_meta['palette']
    rows = []
    for file in files:
        found = best_at_each_place(inference_detector(model, str(file)).pred_instances, score_thr)
        labels = [f'{classes[k]} {score:.2f}'
                  for k, score in zip(found.labels, found.scores, strict=True)]
        colors = [tuple(palette[k]) for k in found.labels]
        plain, seen = read_plain(pipeline, file), read_seen(pipeline, file)
        # Every pixel of either as a block, both at the same size; boxes are in the plain frame.
        shown = [enlarge(img, tuple(ENLARGE * side for side in plain.shape[1::-1]))
                 for img in (plain, seen)]
        boxes = found.bboxes * ENLARGE
        rows.append(shown + [draw_instances(img, boxes, labels, colors) for img in shown])
    return rows


def best_at_each_place(found: InstanceData, score_thr: float) -> InstanceData:
    """Without weak boxes and second guesses about the same object; NumPy, the best one last."""
    found = found[found.scores >= score_thr]
    _, kept = nms(found.bboxes, found.scores, iou_threshold=.6)
    return found[kept.flip(0)].cpu().numpy()


def read_plain(pipeline: Compose, file: Path) -> np.ndarray:
    """The image as the pipeline loads it, RGB uint8 (H, W, 3)."""
    results = pipeline.transforms[0](dict(img_path=str(file), img_id=0))
    return np.ascontiguousarray(results['img'][..., ::-1])


def read_seen(pipeline: Compose, file: Path) -> np.ndarray:
    """The model's input, RGB uint8 (H / grid, W / grid, 3)."""
    inputs = pipeline(dict(img_path=str(file), img_id=0))['inputs']  # BGR, (3, H, W)
    return np.ascontiguousarray(inputs.numpy()[::-1].transpose(1, 2, 0))


def headings(grid: int) -> list[str]:
    if grid == 1:
        return ['plain image', 'what the detector sees', 'its detections', 'its detections']
    return ['plain image', f'what the detector sees\n({grid}x{grid} mixed, enlarged)',
            'its detections,\non the plain image', 'its detections,\non what it sees']


def report(args: argparse.Namespace, metrics: dict, image: Path, log: Path,
           checkpoint: Path) -> None:
    kind = 'plain' if args.grid == 1 else f'{args.grid}x{args.grid} mixed'
    # CocoMetric returns no figures when nothing at all is detected.
    mean_ap, ap50 = (metrics.get(f'coco/bbox_{key}', 0.) for key in ('mAP', 'mAP_50'))
    print(f'\nCOCO bbox mAP on {args.num_val} {kind} images: {mean_ap:.3f}  (AP50 {ap50:.3f})')
    print(f'\nLook at     {image}\nLog         {log}\nCheckpoint  {checkpoint}')
    config = os.path.relpath(CONFIG)
    print(f'\nThe same on your own data in COCO format (folders named as in {args.data_dir}):\n'
          f'  python {os.path.relpath(TRAIN)} {config} \\\n'
          '      --cfg-options custom_data_root=DIR custom_classes="[cat,dog]"')


def main() -> None:
    args = parse_args()
    start = time.time()
    log = args.work_dir / 'train.log'
    with quiet_console(log) as console:
        cfg = prepare_config(args)
        print(f'Drawing {args.num_train} + {args.num_val} images into {args.data_dir}',
              file=console, flush=True)
        write_synthetic_shapes(args.data_dir, args.num_train, args.num_val)
        print(f'Training {cfg.train_cfg.max_epochs} epochs', file=console, flush=True)
        metrics, checkpoint = train(cfg, console)
        files = sorted((args.data_dir / 'val2017').iterdir())[:args.num_rows]
        rows = detection_rows(cfg, checkpoint, files, args.score_thr)
    image = args.work_dir / 'detections.png'
    save_image(image_grid(rows, headings(args.grid)), image)
    report(args, metrics, image, log, checkpoint)
    print(f'\n{clock(time.time() - start)} minutes altogether')


if __name__ == '__main__':
    try:
        main()
    except FileExistsError as err:
        sys.exit(str(err))
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; nothing half-done is left in the data set, so just run it again')
