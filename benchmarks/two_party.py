"""What a host costs: images a second, bytes, waiting, memory; over loopback and a slower link.

    python benchmarks/two_party.py --iterations 20 --out benchmarks/two_party.csv

Each row is a run of its own, in a process of its own: one process, a host over loopback, a host
behind a link of --delay ms each way and --mbit Mbit/s. The link is a forwarder in user space,
which delays every piece of data and lets so many bytes a second pass.
"""
from __future__ import annotations

import argparse
import asyncio
import csv
import resource
import time
from pathlib import Path

from own_process import result_of, started

CONFIG = 'two_party/atss_pevit-tiny_mix-center_bccd'
FIELDS = ('config', 'link', 'wire', 'images_per_s', 'bytes_up', 'bytes_down', 'waiting',
          'owner_cpu_s', 'owner_peak_mib')


def forward(pipe, target: int, delay: float, rate: float) -> None:
    """Serve a port that leads to ``target``; ``delay`` in s, ``rate`` in bytes a second."""
    async def pump(reader, writer) -> None:
        loop, free, queue = asyncio.get_running_loop(), [0.], asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0., due - loop.time()))
                if not data:
                    return writer.close()
                writer.write(data)
                await writer.drain()

        task = asyncio.create_task(deliver())
        while True:
            data = await reader.read(2**14)
            free[0] = max(free[0], loop.time()) + len(data) / rate
            await queue.put((free[0] + delay, data))
            if not data:
                return await task

    async def accept(reader, writer) -> None:
        up = await asyncio.open_connection('127.0.0.1', target)
        await asyncio.gather(pump(reader, up[1]), pump(up[0], writer), return_exceptions=True)

    async def main() -> None:
        server = await asyncio.start_server(accept, '127.0.0.1', 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def serve(pipe, folder: Path) -> None:
    import torch
    torch.set_num_threads(1)
    from mmppvit.two_party.host import start_host
    from mmppvit.two_party.host_session import HostSession
    server, port = start_host(HostSession(folder).handle, '127.0.0.1:0', None, 1e12)
    pipe.send(port)
    server.wait_for_termination()


def own(pipe, config: str, folder: Path, port: int | None, wire: str, iterations: int) -> None:
    import torch
    torch.set_num_threads(1)
    from mmengine.runner import Runner

    from mmppvit.utils.config_files import load_config
    cfg = load_config(config, work_dir=str(folder))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=10**6)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    cfg.param_scheduler = cfg.param_scheduler[:1]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=10**6,
                                        save_last=False)
    cfg.log_processor.by_epoch = False
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False,
                                sampler=dict(type='InfiniteSampler', shuffle=True))
    backbone = cfg.model.backbone
    if port is None:
        backbone.type = 'PEViT'
        for key in ('host', 'certificates', 'wire'):
            backbone.pop(key)
    else:
        backbone.update(host=f'127.0.0.1:{port}', wire=wire)
    runner = Runner.from_cfg(cfg)
    times: list[tuple[float, float, int, int, float]] = []
    after = runner.call_hook

    def call_hook(name: str, **kwargs) -> None:
        after(name, **kwargs)
        if name == 'after_train_iter':
            link = None if port is None else runner.model.backbone.connection
            times.append((time.monotonic(), time.process_time(), *(
                (0, 0, 0.) if link is None else (link.sent, link.received, link.waited))))

    runner.call_hook = call_hook
    runner.train()
    (t0, c0, s0, r0, w0), (t1, c1, s1, r1, w1) = times[1], times[-1]  # the first one warms up
    images = (len(times) - 2) * cfg.train_dataloader.batch_size
    pipe.send(dict(
        images_per_s=f'{images / (t1 - t0):.2f}', bytes_up=round((s1 - s0) / images),
        bytes_down=round((r1 - r0) / images), waiting=f'{(w1 - w0) / (t1 - t0):.2f}',
        owner_cpu_s=f'{(c1 - c0) / images:.3f}',
        owner_peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--iterations', type=int, default=20)
    parser.add_argument('--delay', type=float, default=25, help='ms each way')
    parser.add_argument('--mbit', type=float, default=100)
    parser.add_argument('--links', nargs='+', default=['none', 'loopback', 'slow'])
    parser.add_argument('--wires', nargs='+', default=['float16'])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/two_party_benchmark'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/two_party.csv'))
    args = parser.parse_args()
    rows = []
    for link in args.links:
        for wire in ['-'] if link == 'none' else args.wires:
            folder, running, port = args.work_dir / f'{time.time_ns()}', [], None
            if link != 'none':
                process, port = started(serve, folder / 'host')
                running.append(process)
            if link == 'slow':
                process, port = started(forward, port, args.delay / 1000, args.mbit * 1e6 / 8)
                running.append(process)
            row = result_of(own, args.config, folder / 'owner', port, wire, args.iterations)
            for process in running:
                process.kill()
            rows.append(dict(row, config=args.config, link=link, wire=wire))
            print(rows[-1], flush=True)
    exists = args.out.exists()
    with open(args.out, 'a', newline='') as file:
        writer = csv.DictWriter(file, FIELDS)
        if not exists:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == '__main__':
    main()
