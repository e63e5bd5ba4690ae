"""All bytes that reach the host, searched for everything that it must not know."""
from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.encryption import Key
from mmppvit.two_party import remote_pevit
from mmppvit.two_party.export_patches import export_patches
from mmppvit.two_party.messages import decode
from mmppvit.two_party.patch_store import PatchStore
from tests.two_party.training_cases import CLASSES, host, remote, train, training_config

FLIP = dict(type='RandomFlip', prob=.5, direction='horizontal')
NUMBERS = (np.uint8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64)


class Orders(Hook):
    """Every permutation that the owner used."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict) -> None:
        self.found += [np.asarray(sample.patch_order) for sample in data_batch['data_samples']
                       if 'patch_order' in sample]


def _plain(tmp_path: Path, shapes) -> tuple[Config, Path]:
    """Encrypted as they are loaded, in order: their places are those of the rows and columns."""
    folder = write_synthetic_shapes(tmp_path / 'plain', 6, 3, (128, 96))
    cfg = training_config(folder, tmp_path / 'owner', remote(''))
    cfg.train_dataloader.dataset.pipeline.insert(3, FLIP)
    return cfg, folder / 'annotations/instances_train2017.json'


def _keyed(tmp_path: Path, shapes) -> tuple[Config, Path]:
    """Sealed under a key, unshuffled, flipped and shuffled anew."""
    folder = shapes.folder('mix+center+shuffle')
    cfg = training_config(folder, tmp_path / 'owner', remote(''))
    cfg.model.update(type='KeyedOrder', detector='ATSS')
    cfg.train_dataloader.dataset = dict(
        type='SealedCocoDataset', data_root=str(folder), metainfo=dict(classes=shapes.classes),
        pipeline=[
            dict(type='LoadSealedImage', key_file=str(shapes.key_file)),
            dict(type='LoadSealedAnnotations', with_bbox=True), dict(type='UnshufflePatches'), FLIP,
            dict(type='ShufflePatches', fresh=True), dict(type='PackSealedInputs')])
    return cfg, folder / 'annotations.json'


@pytest.mark.parametrize('feed', ['stream', 'sealed'])
@pytest.mark.parametrize('data', [_plain, _keyed], ids=['loaded', 'keyed'])
def test_nothing_else_reaches_the_host(sealed_shapes, tmp_path, monkeypatch, data, feed):
    """No key, permutation, place, box, label, class or file name; in messages nor in the file of
    patches."""
    cfg, annotations = data(tmp_path, sealed_shapes)
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg.pop(key)
    cfg.train_cfg.max_iters = 4
    cfg.randomness = dict(seed=987654321)
    requests: list[bytes] = []
    file, store = tmp_path / 'patches.safetensors', None
    if feed == 'sealed':
        cfg.dump(tmp_path / 'config.py')
        export_patches(str(tmp_path / 'config.py'), file, ['train'])
        cfg.model.backbone.patches, store = str(file), PatchStore(file)
    orders, sort = Orders(), remote_pevit.sorted_order
    monkeypatch.setattr(remote_pevit, 'sorted_order',
                        lambda patches: orders.found.append(sort(patches).numpy()) or sort(patches))
    with host(tmp_path / 'host', requests, store=store) as address:
        cfg.model.backbone.host = address
        train(cfg, orders)
    check_headers(requests, feed)
    received = b''.join(requests) + (file.read_bytes() if store else b'')
    content = json.loads(annotations.read_text())
    secret = Key.load(sealed_shapes.key_file)
    names = [*CLASSES, str(tmp_path), str(annotations.parent), 'train2017', 'instances',
             '987654321', *(image['file_name'] for image in content['images'])]
    for word in [*(name.encode() for name in names),
                 *(name.encode('utf-16-le') for name in names), *key_bytes(secret)]:
        for form in (word, word.hex().encode(), base64.b64encode(word).rstrip(b'=')):
            assert form not in received, word
    assert len(orders.found) >= 8
    for order in orders.found:
        for numbers in (order, order.argsort(), order[::-1]):
            assert not contains(received, numbers), 'a permutation'
    for annotation in content['annotations']:
        box = np.array(annotation['bbox'])
        corners = np.concatenate([box[:2], box[:2] + box[2:]])
        for numbers in (box, corners, box / 2, corners / 2):
            assert not any(numbers.astype(kind).tobytes() in received for kind in NUMBERS[2:])
            assert not any(str(x).encode() in received for x in numbers if x % 1 and x > 10)


def contains(received: bytes, numbers: np.ndarray) -> bool:
    """As numbers of any kind, or as JSON."""
    return any(numbers.astype(kind).tobytes() in received for kind in NUMBERS) \
        or any(json.dumps(numbers.tolist(), separators=(f',{space}', ':')).encode() in received
               for space in ('', ' '))


def key_bytes(key: Key) -> list[bytes]:
    return [key._secret, key.fingerprint.encode()]


def check_headers(requests: list[bytes], feed: str) -> None:
    """What a step says, whole: nothing can hide in a field that is not here."""
    decoded = [decode(request) for request in requests]
    assert {header['method'] for header, _ in decoded} == {
        'open', 'weights', 'forward', 'backward', 'step', 'save'}
    for header, tensors in decoded:
        assert set(header) - {'method', 'session', 'seq'} <= {
            'spec', 'run', 'patches', 'stored', 'train', 'average', 'wire', 'forward', 'options',
            'factor', 'step'}
        if header['method'] == 'forward':
            assert ('stored' in header) == (feed == 'sealed')
            assert set(tensors) == ({'patches'} if feed == 'stream' else set())
            for patches in tensors.get('patches', torch.empty(0)).split(header.get('patches', 0)):
                rows = [patch.numpy().tobytes() for patch in patches]
                assert rows == sorted(rows)  # the order itself says nothing
    assert decoded[0][0]['spec'].keys() == {'backbone', 'mean', 'std', 'optimizer', 'seed'}
