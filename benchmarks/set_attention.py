"""One block of PEViT tiny, forward and training: attention through points beside full attention.

    python benchmarks/set_attention.py --tokens 256 1024 4096 10240
    python benchmarks/set_attention.py --device cuda --amp --tokens 1024 4096 16384

Both take turns in one process; the exponent of time over tokens is fitted to the medians.
"""
from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import Tensor, nn

from mmppvit.models.layers import build_blocks, resolve_arch


def seconds(block: nn.Module, x: Tensor, train: bool, amp: bool) -> float:
    _wait(x)
    start = time.perf_counter()
    with torch.set_grad_enabled(train), torch.autocast(x.device.type, torch.bfloat16, enabled=amp):
        out = block(x)
        if train:
            out.square().mean().backward()
    _wait(x)
    return time.perf_counter() - start


def _wait(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--tokens', type=int, nargs='+', default=[256, 1024, 4096, 10240])
    parser.add_argument('--points', type=int, default=64)
    parser.add_argument('--turns', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.set_default_device(args.device)
    arch = resolve_arch('tiny')
    blocks = {'full': build_blocks(arch, num_built=1)[0],
              f'{args.points} points': build_blocks(arch, 0., 1, args.points)[0]}
    for train in (False, True):
        medians: dict[str, list[float]] = {name: [] for name in blocks}
        for tokens in args.tokens:
            x = torch.randn(1, tokens, arch['embed_dims'])
            found = {name: [] for name in blocks}
            for _ in range(args.turns + 1):  # the first warms up
                for name, block in blocks.items():
                    found[name].append(seconds(block, x, train, args.amp))
            for name, times in found.items():
                medians[name].append(float(np.median(times[1:])))
            print(f'{"train" if train else "forward"}, {tokens:6d} tokens: ' + ', '.join(
                f'{name} {1e3 * times[-1]:.1f} ms' for name, times in medians.items()), flush=True)
        if len(args.tokens) > 1:
            for name, times in medians.items():
                exponent = np.polyfit(np.log(args.tokens), np.log(times), 1)[0]
                print(f'  {name}: tokens^{exponent:.2f}')


if __name__ == '__main__':
    main()
