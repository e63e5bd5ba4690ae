"""Images a second of training steps, and peak memory, of configs on random images and boxes.

    python benchmarks/train_rate.py atss_pevit-tiny_mix_coco retinanet_pevit-small_mix_coco
    python benchmarks/train_rate.py atss_pevit-tiny_mix_coco --device cuda --amp --batch 16

Losses, backward pass and an optimizer's step; no data is read. With --amp in float16 on a GPU, as
`mmppvit train --amp`, and in bfloat16 on a CPU.
"""
from __future__ import annotations

import argparse
import resource
import time

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmppvit.utils.config_files import find_config

BOXES = 7  # an image, as COCO's have


def random_batch(cfg: Config, args: argparse.Namespace) -> dict:
    """Images as they enter the model: mixed ones are smaller than the plain image."""
    grid = cfg.model.backbone.get('grid', 1)
    height, width = (side // grid for side in args.size)
    samples = []
    for _ in range(args.batch):
        corner = torch.rand(BOXES, 2) * .5
        boxes = torch.cat([corner, corner + .05 + torch.rand(BOXES, 2) * .4], 1)
        sample = DetDataSample(metainfo=dict(
            img_shape=(height, width), ori_shape=(height, width), scale_factor=(1., 1.),
            batch_input_shape=(height, width)))
        sample.gt_instances = InstanceData(
            bboxes=boxes * torch.tensor([width, height, width, height]),
            labels=torch.randint(0, 80, (BOXES, )))
        samples.append(sample)
    return dict(inputs=[torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
                        for _ in range(args.batch)], data_samples=samples)


def measure(name: str, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds of a step, median, and MiB."""
    cfg = Config.fromfile(str(find_config(name)))
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).to(args.device).train()
    wrapper = cfg.optim_wrapper.copy()
    if args.amp:
        wrapper.type = 'AmpOptimWrapper' if args.device != 'cpu' else 'BFloat16OptimWrapper'
    wrapper = build_optim_wrapper(model, wrapper)
    times = []
    for _ in range(args.steps + 3):  # the first three warm up
        batch = random_batch(cfg, args)
        _wait(args.device)
        start = time.perf_counter()
        model.train_step(batch, wrapper)
        _wait(args.device)
        times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**20 if args.device != 'cpu' else \
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return sorted(times[3:])[args.steps // 2], peak


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('configs', nargs='+')
    parser.add_argument('--size', type=int, nargs=2, default=[800, 1344], help='height, width')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--steps', type=int, default=10)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true')
    args = parser.parse_args()
    for name in args.configs:
        if args.device != 'cpu':
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        seconds, peak = measure(name, args)
        print(f'{name}, {args.size[1]}x{args.size[0]}, batch {args.batch}{", amp" * args.amp}: '
              f'{args.batch / seconds:.1f} images a second, {1e3 * seconds:.0f} ms a step, up to '
              f'{peak:.0f} MiB', flush=True)


if __name__ == '__main__':
    main()
