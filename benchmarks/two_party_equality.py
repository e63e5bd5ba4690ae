"""Is two-party training the training in one process? Loss and gradient norm, step by step.

    python benchmarks/two_party_equality.py --iterations 100 --out benchmarks/two_party_equality.csv

``single`` is a PEViT in one process. ``sorted`` is the same in one process with the summation order
of a host: patches sorted by their bytes, norms summed half by half. ``two-party`` is owner and host
with float32 on the wire. Each in float32, and the first two in float64 also. Prints the largest
relative differences of loss and of gradient norm over all iterations.
"""
from __future__ import annotations

import argparse
import csv
from pathlib import Path

from own_process import result_of

CONFIG = 'two_party/atss_pevit-tiny_mix-center_light_bccd'
RUNS = ('single', 'sorted', 'two-party', 'single, float64', 'sorted, float64')
PAIRS = (('single', 'two-party'), ('sorted', 'two-party'), ('single', 'sorted'),
         ('single, float64', 'sorted, float64'))


def build_config(name: str, args: argparse.Namespace, folder: Path, port: int):
    from mmppvit.utils.config_files import load_config
    cfg = load_config(args.config, [], work_dir=str(folder / 'owner'))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=args.iterations, val_interval=10**6)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    cfg.param_scheduler = cfg.param_scheduler[:1]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=10**6,
                                        save_last=False)
    cfg.log_processor.by_epoch = False
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False,
                                sampler=dict(type='InfiniteSampler', shuffle=True))
    cfg.randomness = dict(seed=args.seed)
    backbone = cfg.model.backbone
    if name == 'two-party':
        backbone.update(host=f'127.0.0.1:{port}', certificates=None, wire='float32')
        return cfg
    for key in ('host', 'certificates', 'wire'):
        backbone.pop(key)
    backbone.type = 'PEViT'
    if name.startswith('sorted'):
        preprocessor = cfg.model.data_preprocessor
        backbone.update(type='SortedPEViT', mean=preprocessor.mean, std=preprocessor.std)
        cfg.optim_wrapper.type = 'HalvesOptimWrapper'
    return cfg


def train(pipe, name: str, args: argparse.Namespace, folder: Path) -> None:
    """Send loss and gradient norm of every iteration."""
    import torch
    torch.set_num_threads(1)
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    import mmppvit.two_party.sorted_pevit  # noqa: F401
    from mmppvit.two_party.host import start_host
    from mmppvit.two_party.host_session import HostSession
    server, port = start_host(HostSession(folder / 'host').handle, '127.0.0.1:0', None, 1e12)
    runner = Runner.from_cfg(build_config(name, args, folder, port))
    rows: list[tuple[float, float]] = []

    class Record(Hook):
        def before_train(self, runner) -> None:
            runner.optim_wrapper.backbone = runner.model.backbone

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            norm = runner.message_hub.get_scalar('train/grad_norm').current()
            rows.append((float(outputs['loss'].detach()), float(norm)))

    runner.register_hook(Record(), 'VERY_HIGH' if name != 'two-party' else 'LOWEST')
    if name.endswith('float64'):
        runner.model.double()
        runner.model.backbone.register_forward_pre_hook(lambda _, args: (args[0].double(), ))
    runner.train()
    server.stop(0).wait()
    pipe.send(rows)


def difference(one: list, other: list, count: int) -> tuple[float, float]:
    """Largest relative differences of the first ``count`` iterations."""
    return tuple(max(abs(x[i] - y[i]) / abs(x[i]) for x, y in zip(
        one[:count], other[:count], strict=True)) for i in (0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--iterations', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--runs', nargs='+', default=list(RUNS), choices=RUNS)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/two_party_equality'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/two_party_equality.csv'))
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    for name in args.runs:
        folder = args.work_dir / name.replace(', ', '_')
        (folder / 'owner').mkdir(parents=True, exist_ok=True)
        found[name] = result_of(train, name, args, folder)
        for one, other in PAIRS:
            if name in (one, other) and {one, other} <= set(found):
                report(one, other, found, args.iterations)
        with open(args.out, 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['iteration', *(f'{name}: {what}' for name in found
                                            for what in ('loss', 'grad_norm'))])
            for i in range(args.iterations):
                writer.writerow([i, *(repr(x) for rows in found.values() for x in rows[i])])


def report(one: str, other: str, found: dict, iterations: int) -> None:
    for count in sorted({min(n, iterations) for n in (10, 50, iterations)}):
        loss, norm = difference(found[one], found[other], count)
        print(f'{one} / {other}, {count} iterations: loss {loss:.1e}, norm {norm:.1e}', flush=True)


if __name__ == '__main__':
    main()
