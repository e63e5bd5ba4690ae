"""Two processes of the owner and two of the host train as one process of each does."""
from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.two_party.connection import shift_port
from tests.two_party.processes import CONTEXT, Process, free_port
from tests.two_party.training_cases import host_weights, remote, train, training_config

STEPS = 3


def _config(shapes: Path, folder: Path, batch: int, backbone: dict | None = None, **options):
    cfg = training_config(shapes, folder, backbone, **options)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    cfg.train_dataloader.batch_size = batch
    cfg.train_cfg.max_iters = STEPS
    cfg.default_hooks.checkpoint.interval = STEPS
    return cfg


def _join(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2',
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))


def _serve(rank: int, group: int, folder: Path, port: int) -> None:
    from mmppvit.two_party.host import serve
    _join(rank, group)
    serve(folder, f'127.0.0.1:{port}', None)


def _own(rank: int, group: int, shapes: Path, folder: Path, port: int) -> None:
    from mmppvit.utils.cpu_dist import leave_dist, prepare_cpu_dist
    _join(rank, group)
    cfg = _config(shapes, folder, 2, remote(f'127.0.0.1:{port}', patience=60), launcher='pytorch',
                  model_wrapper_cfg=dict(type='RemoteDataParallel', broadcast_buffers=False))
    prepare_cpu_dist(cfg)
    runner, rows = train(cfg)
    runner.model = runner.model.module
    save_file({k: v.contiguous() for k, v in host_weights(runner).items()},
              folder / f'backbone-{rank}.safetensors')
    np.save(folder / f'rows-{rank}.npy', rows)
    leave_dist()


def test_two_by_two_equal_one(tmp_path):
    """Loss (of both on average), gradient norm, weights of neck, head and both backbones."""
    CONTEXT.set_forkserver_preload([
        'tests.two_party.test_parallel', 'mmppvit.two_party.host', 'tests.quick_configs'])
    shapes = write_synthetic_shapes(tmp_path / 'plain', 8, 1, (128, 96))
    reference, rows = train(_config(shapes, tmp_path / 'single', 4))
    folder, (group, other, port) = tmp_path / 'owner', _ports()
    folder.mkdir()
    hosts = [Process(_serve, tmp_path / f'host-{r}.log', r, group, tmp_path / 'host', port)
             for r in range(2)]
    owners = [Process(_own, tmp_path / f'owner-{r}.log', r, other, shapes, folder, port)
              for r in range(2)]
    try:
        for rank, owner in enumerate(owners):
            owner.process.join(300)
            assert owner.ended() == 0, (tmp_path / f'owner-{rank}.log').read_text()[-3000:]
    finally:
        for process in (*owners, *hosts):
            process.kill()
    found = [np.load(folder / f'rows-{rank}.npy') for rank in range(2)]
    losses = np.mean([x[:, 0] for x in found], 0)
    np.testing.assert_allclose(losses, [x for x, _ in rows], rtol=1e-4)
    for row in found:
        np.testing.assert_allclose(row[:, 1], [x for _, x in rows], rtol=1e-4)
    backbones = [load_file(folder / f'backbone-{rank}.safetensors') for rank in range(2)]
    own = torch.load(folder / f'iter_{STEPS}.pth', weights_only=True)['state_dict']
    for name, value in reference.model.state_dict().items():
        if name in own:
            torch.testing.assert_close(own[name], value, rtol=1e-4, atol=1e-4)
            continue
        one, two = (x[name.removeprefix('backbone.')] for x in backbones)
        assert torch.equal(one, two)
        torch.testing.assert_close(one, value, rtol=1e-4, atol=1e-4)


def _ports() -> tuple[int, int, int]:
    """Of both groups, and one that is free together with the next."""
    while True:
        port = free_port()
        with socket.socket() as server:
            try:
                server.bind(('127.0.0.1', port + 1))
            except OSError:
                continue
        return free_port(), free_port(), port


def test_ports():
    assert shift_port('127.0.0.1:0', 0) == '127.0.0.1:0'
    assert shift_port('[::1]:50051', 3) == '[::1]:50054'
    with pytest.raises(ValueError, match='a port that is known'):
        shift_port('127.0.0.1:0', 1)
