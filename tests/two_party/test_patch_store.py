"""Images that the host has beforehand are named, not sent."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.two_party.export_patches import export_patches
from mmppvit.two_party.messages import ProtocolError, decode
from mmppvit.two_party.patch_store import PatchStore, cut_patches, digest_of, write_store
from tests.two_party.training_cases import host, host_weights, remote, train, training_config


@pytest.fixture
def store(tmp_path):
    images = [np.random.default_rng(i).integers(0, 256, (16, 24 + 8 * i, 3), np.uint8)
              for i in range(3)]
    write_store(tmp_path / 'patches.safetensors', images, 8)
    return PatchStore(tmp_path / 'patches.safetensors'), images


@pytest.mark.parametrize('patches', [
    np.zeros((2, 3, 8, 8), np.float32), np.zeros(3, np.uint8), np.zeros((0, 3, 8, 8), np.uint8),
    np.zeros((2, 3, 8, 4), np.uint8)])
def test_files_of_other_tensors_are_refused(tmp_path, patches):
    path = tmp_path / 'patches.safetensors'
    path.write_bytes(save({'0': patches}))
    with pytest.raises(ProtocolError, match='is no patches'):
        PatchStore(path).get([0, 0])


def test_every_flip_and_turn_is_found(store):
    from mmppvit.two_party.patch_store import canonical
    patches, images = store
    digests = patches.digests()
    assert len(digests) == 24
    for i, image in enumerate(images):
        x = torch.from_numpy(image.transpose(2, 0, 1).copy())
        for moved in (x, x.flip(2), x.flip(1), x.flip(1, 2), x.transpose(1, 2), x.rot90(1, (1, 2))):
            index, motion = digests[digest_of(canonical(cut_patches(moved.contiguous(), 8)))]
            assert index == i
            assert digest_of(patches.get([index, motion])) == digest_of(
                canonical(cut_patches(moved.contiguous(), 8)))


@pytest.mark.parametrize('item', [
    None, [0], [0, 8], [3, 0], [-1, 0], ['0', 0], [True, 0], [0, 0, 0], '../x'])
def test_what_is_no_image(store, item):
    with pytest.raises(ProtocolError):
        store[0].get(item)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='mmppvit owner --patches'):
        PatchStore(tmp_path / 'none')
    (tmp_path / 'x').write_bytes(b'junk')
    with pytest.raises(ValueError, match='is no file of patches'):
        PatchStore(tmp_path / 'x')


def test_training_sends_no_image(tmp_path):
    """And gives the weights of training that sends them."""
    shapes = write_synthetic_shapes(tmp_path / 'plain', 4, 1, (128, 96))
    flip = dict(type='RandomFlip', prob=1., direction='horizontal')
    path, weights = tmp_path / 'patches.safetensors', []
    for patches in (None, path):
        requests: list[bytes] = []
        cfg = training_config(shapes, tmp_path / f'{patches is None}', remote(''))
        cfg.train_dataloader.dataset.pipeline.insert(3, flip)
        cfg.train_cfg.max_iters = 2
        for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
            cfg.pop(key)
        if patches is not None:
            cfg.dump(tmp_path / 'config.py')
            assert export_patches(str(tmp_path / 'config.py'), path, ['train']) == 4
            assert b'.png' not in path.read_bytes()
            cfg.model.backbone.patches = str(path)
        store = None if patches is None else PatchStore(path)
        with host(tmp_path / f'host{patches is None}', requests, store=store) as address:
            cfg.model.backbone.host = address
            runner, _ = train(cfg)
            weights.append(host_weights(runner))
        forward = [decode(r) for r in requests if decode(r)[0]['method'] == 'forward']
        assert all(('patches' in tensors) == (patches is None) for _, tensors in forward)
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
