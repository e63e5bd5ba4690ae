"""Keyed detectors: on shuffled images what the plain detector is on those in order."""
from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmppvit.engine import CheckedLoadHook
from mmppvit.models.detectors import KeyedOrder, KeyedOrderMixin, restore_patch_order
from tests.models.tiny_detectors import (
    STRIDE,
    assert_same_predictions,
    batch,
    build,
    images,
    keyed,
    model_config,
    orders,
    run,
    shuffle_patches,
)

GRIDS = [(4, 8), (7, 5)]
REMEDY = 'give the key file to the LoadSealedImage or ShufflePatches step .* PackSealedInputs'


def _shuffled() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Shuffled images and their orders."""
    perms = orders()
    return list(map(shuffle_patches, images(), perms)), perms


def _restore_slowly(x: np.ndarray, perms: list, grids: list) -> np.ndarray:
    out = x.copy()
    for b, (order, (h, w)) in enumerate(zip(perms, grids, strict=True)):
        for k in range(h * w):
            out[b, :, order[k] // w, order[k] % w] = x[b, :, k // w, k % w]
    return out


# --- the function -------------------------------------------------------------------------


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.int64,
                                   torch.bool])
@pytest.mark.parametrize('shape', [(7, 8), (9, 11)])
def test_restores_like_the_slow_reference(dtype, shape):
    x = torch.randint(0, 100, (2, 5, *shape)).to(dtype)
    found = restore_patch_order(x, orders(), GRIDS)
    expected = _restore_slowly(x.to(torch.float64).numpy(), orders(), GRIDS)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.to(torch.float64).numpy(), expected)
    assert torch.equal(found[0, :, 4:], x[0, :, 4:]), 'padding stays'
    assert torch.equal(found[1, :, :, 5:], x[1, :, :, 5:])


def test_restoring_undoes_shuffling():
    img, order = images()[0], orders()[0]
    plain, shuffled = (torch.from_numpy(x[::STRIDE, ::STRIDE].copy()).permute(2, 0, 1)[None]
                       for x in (img, shuffle_patches(img, order)))
    assert not torch.equal(plain, shuffled)
    assert torch.equal(restore_patch_order(shuffled, [order], [(4, 8)]), plain)


def test_gradients_go_back_to_where_the_tokens_came_from():
    x = torch.randn(2, 3, 7, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y: restore_patch_order(y, orders(), GRIDS), x)


def test_orders_may_be_tensors_and_read_only_arrays(recwarn):
    x, perms = torch.randn(2, 3, 7, 8), orders()
    expected = restore_patch_order(x, perms, GRIDS)
    perms[0].flags.writeable = False
    assert torch.equal(restore_patch_order(x, [perms[0], torch.tensor(perms[1])], GRIDS), expected)
    assert not recwarn.list


@pytest.mark.parametrize(('perms', 'grids', 'message'), [
    ([np.arange(6)], [(2, 3)] * 2, '2 images, 1 orders and 2 grids'),
    ([np.arange(6), np.arange(5)], [(2, 3)] * 2, r'shape \(5,\), but the image has 2x3 = 6'),
    ([np.arange(6), np.zeros(6, int)], [(2, 3)] * 2, 'no permutation of 0 to 5'),
    ([np.arange(6), np.arange(6) + 1], [(2, 3)] * 2, 'no permutation of 0 to 5'),
    ([np.arange(6), np.arange(6.)], [(2, 3)] * 2, 'no permutation of 0 to 5'),
    ([np.arange(6), np.arange(10)], [(2, 3), (2, 5)], '2x5 patches does not fit .* 3x4 cells'),
])
def test_orders_that_do_not_fit(perms, grids, message):
    with pytest.raises(ValueError, match=message):
        restore_patch_order(torch.zeros(2, 1, 3, 4), perms, grids)


# --- detectors ----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def atss():
    """ATSS and its keyed twin with the same weights."""
    return _twins('ATSS')


def _twins(name: str) -> tuple[nn.Module, nn.Module]:
    cfg = model_config(name)
    plain, twin = build(cfg), build(keyed(cfg), seed=1)
    twin.load_state_dict(plain.state_dict())
    return plain, twin


@pytest.mark.parametrize('name', ['ATSS', 'FasterRCNN', 'MaskRCNN', 'DETR'])
def test_keyed_on_shuffled_is_plain_on_ordered(name):
    """Loss, gradients and predictions, for a batch of two sizes."""
    plain, twin = _twins(name)
    shuffled, perms = _shuffled()
    ordered, sealed = batch(images()), batch(shuffled, perms)
    expected = run(plain, ordered, 'predict')
    assert_same_predictions(run(twin, sealed, 'predict'), expected)
    with pytest.raises(AssertionError):  # the order matters
        assert_same_predictions(run(plain, sealed, 'predict'), expected)
    if name == 'MaskRCNN':  # trains as Faster R-CNN does
        return
    found, expected = run(twin, sealed, 'loss'), run(plain, ordered, 'loss')
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)
    for losses in (found, expected):
        sum(sum(v) if isinstance(v, list) else v for k, v in losses.items()
            if 'loss' in k).backward()
    for param, other in zip(twin.parameters(), plain.parameters(), strict=True):
        assert (param.grad is None) == (other.grad is None)
        if param.grad is not None:
            # A ReLU at almost 0 may open in one order of summation and not in the other.
            scale = other.grad.abs().max().item()
            torch.testing.assert_close(param.grad, other.grad, rtol=1e-3, atol=5e-3 * scale + 1e-6)


def test_the_backbone_sees_shuffled_patches_and_no_order(atss):
    shuffled, perms = _shuffled()
    seen = []
    handle = atss[1].backbone.register_forward_pre_hook(lambda _, args: seen.append(args))
    run(atss[1], batch(shuffled, perms), 'predict')
    handle.remove()
    expected = atss[1].data_preprocessor(batch(shuffled))['inputs']
    assert len(seen) == 1
    assert len(seen[0]) == 1
    assert torch.equal(seen[0][0], expected)


def test_every_map_is_restored_and_the_padding_stays(atss):
    shuffled, perms = _shuffled()
    maps = {}
    for name, model, data in (('plain', atss[0], batch(images())),
                              ('keyed', atss[1], batch(shuffled, perms))):
        handle = model.neck.register_forward_pre_hook(
            lambda _, args, name=name: maps.update({name: args[0]}))
        run(model, data, 'tensor')
        handle.remove()
    assert isinstance(maps['keyed'], tuple)
    torch.testing.assert_close(maps['keyed'], maps['plain'], rtol=1e-4, atol=1e-4)


def test_the_same_class_every_time_and_the_backbone_where_it_was(atss):
    assert type(atss[1]).__name__ == 'KeyedOrderATSS'
    assert isinstance(atss[1], (type(atss[0]), KeyedOrderMixin))
    assert type(build(keyed(model_config('ATSS')))) is type(atss[1])
    scoped = dict(model_config('ATSS'), type='mmdet.KeyedOrder', detector='mmdet.ATSS')
    assert type(build(scoped)) is type(atss[1])
    assert MODELS.get('KeyedOrder') is KeyedOrder


def test_checkpoints_interchange(atss):
    hook = CheckedLoadHook(strict=True)
    for one, other in (atss, atss[::-1]):
        hook.after_load_checkpoint(SimpleNamespace(model=one, _resume=False),
                                   dict(state_dict=other.state_dict()))


def test_deep_copies_restore_with_their_own_orders(atss):
    """As the EMA hook copies a model."""
    twin = atss[1]
    twin_copy = copy.deepcopy(twin)
    shuffled, perms = _shuffled()
    expected = run(twin, batch(shuffled, perms), 'predict')
    assert_same_predictions(run(twin_copy, batch(shuffled, perms), 'predict'), expected)
    other = [order[::-1].copy() for order in perms]
    with twin._orders_of(torch.zeros(2, 3, 56, 64), batch(shuffled, other)['data_samples']):
        assert_same_predictions(run(twin_copy, batch(shuffled, perms), 'predict'), expected)
        assert twin._sources is not None


class _Wrapper(nn.Module):
    """What DistributedDataParallel is to the model."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.data_preprocessor = module.data_preprocessor

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


def test_wrapped_detectors(atss):
    shuffled, perms = _shuffled()
    data = batch(shuffled, perms)
    assert_same_predictions(run(_Wrapper(atss[1]), data, 'predict'), run(atss[1], data, 'predict'))


# --- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
@pytest.mark.parametrize(('given', 'count'), [([None, None], 2), (['order', None], 1)])
def test_images_without_order(atss, mode, given, count):
    perms = [order if word else None for order, word in zip(orders(), given, strict=True)]
    with pytest.raises(ValueError, match=f'{count} of the 2 images .* carry no patch_order.*'
                       f'{REMEDY}'):
        run(atss[1], batch(images(), perms), mode)


@pytest.mark.parametrize('mode', ['loss', 'predict', 'tensor'])
def test_batches_without_data_samples(atss, mode):
    with pytest.raises(ValueError, match=f'cannot restore .* without data samples: {REMEDY}'):
        atss[1](torch.zeros(1, 3, 16, 16), mode=mode)


def test_an_error_leaves_no_order_behind(atss):
    shuffled, perms = _shuffled()
    with pytest.raises(RuntimeError, match='Invalid mode'):
        run(atss[1], batch(shuffled, perms), 'nonsense')
    assert atss[1]._sources is None
    with pytest.raises(RuntimeError, match=r'outside of its forward\(\)'):
        atss[1].extract_feat(torch.zeros(1, 3, 16, 16))


def test_orders_of_another_grid(atss):
    perms = [orders()[0], np.arange(6)]
    with pytest.raises(ValueError, match=r'shape \(6,\), but the image has 7x5 = 35 patches'):
        run(atss[1], batch(images(), perms), 'predict')
    data = batch(images(), orders())
    data['data_samples'][0].set_metainfo(dict(img_shape=(30, 64)))
    with pytest.raises(ValueError, match='img_shape 30x64 is not a multiple of the stride 8'):
        run(atss[1], data, 'predict')


def test_maps_of_another_grid(atss):
    model = copy.deepcopy(atss[1])
    model.backbone.forward = lambda x: [x[..., ::4, ::4]]
    with pytest.raises(ValueError, match='map of 14x16 cells for a batch of 7x8 tokens'):
        run(model, batch(images(), orders()), 'predict')


def test_backbones_with_positions():
    cfg = dict(model_config('ATSS'), backbone=dict(type='ResNet', depth=18))
    with pytest.raises(TypeError, match='such as PEViT; ResNet does not'):
        build(keyed(cfg))


def test_a_peyolos_has_positions(configs):
    """It names a stride, so that only what it says of positions tells."""
    cfg = Config.fromfile(str(configs / '_base_/models/peyolos-tiny_mix.py')).model
    with pytest.raises(TypeError, match='YOLOSViT knows positions'):
        MODELS.build(keyed(dict(cfg, _scope_='mmdet')))


@pytest.mark.parametrize('name', ['NoSuchDetector', 'PEViT', 'KeyedOrder', None])
def test_unknown_detectors(name):
    with pytest.raises(ValueError, match=f'detector {name!r} is not a detector of MMDetection'):
        build(dict(model_config('ATSS'), type='KeyedOrder', detector=name))
