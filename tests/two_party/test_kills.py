"""Host, owner and connection die at random moments, and the weights are those of a quiet run.

``MMPPVIT_KILLS`` is how many die, 4 by default, and ``MMPPVIT_KILLS_SEED`` chooses when.
"""
from __future__ import annotations

import os
import random
import select
import socket
import time
from collections import Counter
from pathlib import Path

import torch
from safetensors.torch import load_file

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from tests.two_party.processes import CONTEXT, Process, free_port
from tests.two_party.training_cases import remote, train, training_config

KILLS = int(os.environ.get('MMPPVIT_KILLS', 4))
SEED = int(os.environ.get('MMPPVIT_KILLS_SEED', 0))
ITERATIONS = max(10, KILLS)


def _forward(port: int, target: int) -> None:
    """What the connection goes through; it dies with all that passes through it."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(('127.0.0.1', port))
    server.listen()
    pairs: dict[socket.socket, socket.socket] = {}
    while True:
        for ready in select.select([server, *pairs], [], [])[0]:
            if ready is server:
                client = server.accept()[0]
                try:
                    host = socket.create_connection(('127.0.0.1', target))
                except OSError:
                    client.close()
                    continue
                pairs.update({client: host, host: client})
            elif ready in pairs:
                other = pairs[ready]
                try:
                    data = ready.recv(2**16)
                    other.sendall(data)
                except OSError:
                    data = b''
                if not data:
                    for end in (ready, other):
                        pairs.pop(end, None)
                        end.close()


def _serve(folder: Path, port: int) -> None:
    from mmppvit.two_party.host import serve
    serve(folder, f'127.0.0.1:{port}', None, snapshot_every=3)


def _own(shapes: Path, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    cfg = training_config(shapes, folder, remote(f'127.0.0.1:{port}', patience=60), resume=True)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    cfg.train_cfg.max_iters = ITERATIONS
    cfg.default_hooks.checkpoint.interval = 2
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    train(cfg)


def _run(shapes: Path, folder: Path, kills: int, seed: int = SEED) -> tuple[dict, Counter]:
    """Weights at the end, and how often each was killed."""
    rng, killed = random.Random(seed), Counter()
    host_port, port = free_port(), free_port()
    host = Process(_serve, folder / 'host.log', folder / 'host', host_port)
    wire = Process(_forward, folder / 'wire.log', port, host_port)
    owner = Process(_own, folder / 'owner.log', shapes, folder / 'owner', port)
    names = {host: 'host', wire: 'connection', owner: 'owner'}
    deadline = time.monotonic() + 900 + 60 * kills
    try:
        while (code := owner.ended()) is None:
            assert time.monotonic() < deadline, (folder / 'owner.log').read_text()[-3000:]
            time.sleep(rng.uniform(.02, .5))
            # The owner's progress is its checkpoints: let it reach one now and then.
            victim = rng.choice([host, host, host, wire, wire, wire, owner])
            if killed.total() < kills and list((folder / 'owner').glob('iter_*.pth')):
                victim.kill()
                victim.start()
                killed[names[victim]] += 1
        assert code == 0, (folder / 'owner.log').read_text()[-3000:]
    finally:
        for process in (owner, wire, host):
            process.kill()
    own = torch.load(folder / f'owner/iter_{ITERATIONS}.pth', weights_only=True)
    backbone = load_file(folder / 'host' / own['two_party']['run'] /
                         f'step-{ITERATIONS}.safetensors')
    return {**own['state_dict'], **backbone}, killed


def test_the_weights_are_those_of_an_undisturbed_run(tmp_path):
    shapes = write_synthetic_shapes(tmp_path / 'plain', 6, 3, (128, 96))
    CONTEXT.set_forkserver_preload([
        'tests.two_party.test_kills', 'mmppvit.two_party.host', 'tests.quick_configs'])
    for name in ('quiet', 'disturbed'):
        (tmp_path / name).mkdir()
    expected, _ = _run(shapes, tmp_path / 'quiet', 0)
    found, killed = _run(shapes, tmp_path / 'disturbed', KILLS)
    assert killed.total() > 0
    print(f'killed: {dict(killed)}')
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
