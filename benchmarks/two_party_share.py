"""How much of a training step stays with the owner, by operations and by time.

    python benchmarks/two_party_share.py two_party/atss_pevit-tiny_mix-center_light_bccd

Matrix products and convolutions of a forward and a backward pass over one batch (torch's flop
counter, two for each multiplication), and the CPU time on one thread. The backbone is the
host's, the rest the owner's. WIDTH and HEIGHT are those of the config.
"""
from __future__ import annotations

import argparse
import os
import time

import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from mmppvit.utils.config_files import load_config


def measured(run) -> tuple[int, float]:
    """Operations, and the shortest of five CPU times in seconds."""
    with FlopCounterMode(display=False) as counter:
        run()
    times = []
    for _ in range(5):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return counter.get_total_flops(), min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='+')
    args = parser.parse_args()
    torch.set_num_threads(1)
    init_default_scope('mmdet')
    for name in args.config:
        cfg = load_config(name)
        for key in ('host', 'certificates', 'wire'):
            cfg.model.backbone.pop(key)
        cfg.model.backbone.type = 'PEViT'
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        model = MODELS.build(cfg.model).train()
        data = model.data_preprocessor(
            pseudo_collate([dataset[i] for i in range(cfg.train_dataloader.batch_size)]), True)

        def whole(model=model, data=data) -> None:
            losses, _ = model.parse_losses(model(**data, mode='loss'))
            losses.backward()

        def host(model=model, data=data) -> None:
            outs = model.backbone(data['inputs'])
            torch.autograd.backward(outs, [torch.ones_like(x) for x in outs])

        (all_flops, all_time), (host_flops, host_time) = measured(whole), measured(host)
        print(f'{name} {os.environ.get("WIDTH", 512)}x{os.environ.get("HEIGHT", 384)}: '
              f'{all_flops / 1e9:.1f} GFLOP and {all_time:.2f} s a batch; the owner has '
              f'{1 - host_flops / all_flops:.1%} of the operations and '
              f'{1 - host_time / all_time:.1%} of the time', flush=True)


if __name__ == '__main__':
    main()
