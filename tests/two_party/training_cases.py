"""A training of a tiny detector on synthetic images, in one process or with a host."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmppvit.two_party.host import start_host
from mmppvit.two_party.host_session import HostSession
from tests.models.tiny_detectors import model_config

ITERATIONS = 6
CLASSES = ('ellipse', 'rectangle', 'triangle', 'star', 'cross')


def training_config(folder: Path, work_dir: Path, backbone: dict | None = None,
                    **options) -> Config:
    """``folder`` is of ``write_synthetic_shapes``; ``backbone`` updates that of the model."""
    model = model_config('ATSS')
    model.bbox_head.num_classes = len(CLASSES)
    model.backbone.update(type='PEViT', patch_size=16, grid=2)
    model.backbone.update(backbone or {})
    mix = [dict(type='MixSubPatches', patch_size=16, grid=2),
           dict(type='CenterPatches', patch_size=16, grid=2, strength=1.)]
    load = [dict(type='LoadImageFromFile')]
    boxes = [dict(type='LoadAnnotations', with_bbox=True)]
    pack = [dict(type='PackDetInputs', meta_keys=(
        'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]

    def loader(split: str, steps: list, **kwargs) -> dict:
        return dict(
            batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(type='CheckedCocoDataset', metainfo=dict(classes=CLASSES),
                         data_root=f'{folder}/', ann_file=f'annotations/instances_{split}.json',
                         data_prefix=dict(img=split), pipeline=steps, **kwargs))

    resize = [dict(type='Resize', scale=(128, 96), keep_ratio=False)]
    cfg = dict(
        default_scope='mmdet', work_dir=str(work_dir), model=model, launcher='none',
        train_dataloader=loader('train2017', load + boxes + resize + mix + pack),
        val_dataloader=loader('val2017', load + resize + mix + boxes + pack, test_mode=True),
        val_evaluator=dict(type='CocoMetric', metric='bbox',
                           ann_file=f'{folder}/annotations/instances_val2017.json'),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=1000),
        val_cfg=dict(type='ValLoop'),
        optim_wrapper=dict(
            type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=.05),
            clip_grad=dict(max_norm=1.)),
        param_scheduler=[dict(type='LinearLR', start_factor=.1, by_epoch=False, begin=0, end=4)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False),
                           logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='CheckedLoadHook'), dict(type='RemoteBackboneHook')],
        randomness=dict(seed=0), log_processor=dict(by_epoch=False, window_size=1),
        log_level='ERROR', experiment_name=f'{work_dir.name}')
    cfg.update(options)
    return Config(copy.deepcopy(cfg))


class Record(Hook):
    """Loss and gradient norm of every iteration."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, float]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        norm = runner.message_hub.log_scalars.get('train/grad_norm')
        self.rows.append((float(outputs['loss'].detach()), norm.current() if norm else 0.))


def train(cfg: Config, *hooks: Hook) -> tuple[Runner, list[tuple[float, float]]]:
    """The runner afterwards, and what was recorded."""
    record = Record()
    runner = Runner.from_cfg(cfg)
    for hook in (*hooks, record):
        runner.register_hook(hook)
    runner.train()
    return runner, record.rows


@contextmanager
def host(work_dir: Path, requests: list | None = None, session: HostSession | None = None,
         **kwargs) -> Iterator[str]:
    """Address of a host in this process; ``requests`` collects what reaches it."""
    session = session or HostSession(work_dir, **kwargs)

    def handle(request: bytes) -> bytes:
        if requests is not None:
            requests.append(request)
        return session.handle(request)

    server, port = start_host(handle, '127.0.0.1:0', None, 1e12)
    try:
        yield f'127.0.0.1:{port}'
    finally:
        server.stop(0).wait()


def host_weights(runner: Runner) -> dict[str, torch.Tensor]:
    """Weights of the backbone, fetched from the host."""
    backbone = runner.model.backbone
    names = [name for name, _ in backbone.named_parameters()]
    return backbone.connection.call('fetch', numbered=False, names=names, average=False)[1]


def remote(address: str, **kwargs) -> dict:
    """Fields of the backbone that make it remote."""
    return dict(type='RemotePEViT', host=address, wire='float32', **kwargs)
