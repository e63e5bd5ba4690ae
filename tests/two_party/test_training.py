"""Training with a host is training in one process, and the host learns nothing it should not."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.models.backbones import PEViT
from mmppvit.two_party.connection import HostError
from mmppvit.two_party.host_session import HostSession
from mmppvit.two_party.join import join_halves
from mmppvit.two_party.messages import decode
from mmppvit.two_party.remote_pevit import RemotePEViT
from mmppvit.two_party.sorted_pevit import SortedPEViT  # noqa: F401
from tests.two_party.training_cases import host, host_weights, remote, train, training_config

EMA = dict(type='EMAHook', momentum=.3)
DECAY = dict(constructor='ViTLayerDecayOptimWrapperConstructor',
             paramwise_cfg=dict(decay_rate=.7))


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    return write_synthetic_shapes(tmp_path_factory.mktemp('shapes') / 'plain', 6, 3, (128, 96))


@pytest.fixture(scope='module')
def single(shapes, tmp_path_factory):
    """In one process: the runner and its losses and gradient norms."""
    return train(training_config(shapes, tmp_path_factory.mktemp('single')))


def assert_equal_halves(runner: Runner, reference: Runner, tolerance: float = 1e-5) -> None:
    expected = reference.model.state_dict()
    found = {f'backbone.{k}': v for k, v in host_weights(runner).items()}
    found.update(runner.model.state_dict())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance)


class TellBackbone(Hook):
    """Which gradients the HalvesOptimWrapper sums first."""

    def before_train(self, runner) -> None:
        runner.optim_wrapper.backbone = runner.model.backbone


def test_equals_one_process(shapes, single, tmp_path):
    """Losses, gradient norms and all weights: up to rounding, and to the bit if summed alike."""
    reference, rows = single
    cfg = training_config(shapes, tmp_path / 'sorted')
    preprocessor = cfg.model.data_preprocessor
    cfg.model.backbone.update(type='SortedPEViT', mean=preprocessor.mean, std=preprocessor.std)
    cfg.optim_wrapper.type = 'HalvesOptimWrapper'
    exact, exact_rows = train(cfg, TellBackbone())
    with host(tmp_path / 'host') as address:
        runner, found = train(training_config(shapes, tmp_path / 'owner', remote(address)))
        np.testing.assert_allclose(found, rows, rtol=1e-4)
        assert_equal_halves(runner, reference, 1e-4)
        assert found == exact_rows
        assert_equal_halves(runner, exact, 0.)
    assert all(p.is_meta for p in runner.model.backbone.parameters())


@pytest.mark.parametrize('change', [
    dict(DECAY, accumulative_counts=2),
    dict(clip_grad=dict(type='value', clip_value=1e-3),
         optimizer=dict(type='SGD', lr=.01, momentum=.9, weight_decay=.1)),
    dict(type='BFloat16OptimWrapper', clip_grad=None)],
    ids=['accumulation and layer decay', 'SGD and clipped values', 'bfloat16 without clipping'])
def test_optimizers_equal_one_process(shapes, tmp_path, change):
    def config(name, backbone=None):
        cfg = training_config(shapes, tmp_path / name, backbone)
        for key, value in change.items():
            cfg.optim_wrapper.pop(key, None)
            cfg.optim_wrapper[key] = value
        cfg.train_cfg.max_iters = 3  # not a multiple of the accumulation
        for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
            cfg.pop(key)
        return cfg

    reference, rows = train(config('single'))
    with host(tmp_path / 'host') as address:
        runner, found = train(config('owner', remote(address)))
        tolerance = 3e-2 if 'type' in change else 1e-4
        np.testing.assert_allclose(found, rows, rtol=tolerance)
        assert_equal_halves(runner, reference, 2e-3 if 'type' in change else 1e-4)


def test_averages_resumes_and_joins(shapes, tmp_path):
    """EMA, a checkpoint in the middle, another process for the rest, and the whole detector."""
    def config(name, backbone=None, iters=6, **kwargs):
        cfg = training_config(shapes, tmp_path / name, backbone, **kwargs)
        cfg.custom_hooks.append(EMA)
        cfg.train_cfg.update(max_iters=iters, val_interval=3)
        return cfg

    reference, rows = train(config('single'))
    with host(tmp_path / 'host') as address:
        train(config('owner', remote(address), 3))
    with host(tmp_path / 'host') as address:  # and another host process
        cfg = config('owner', remote(address), 6, resume=True)
        runner, found = train(cfg)
        np.testing.assert_allclose(found, rows[3:], rtol=1e-4)
        assert_equal_halves(runner, reference, 1e-4)
        path = tmp_path / 'owner/iter_6.pth'
        whole = join_halves(cfg, path)
        with pytest.raises(HostError, match=r'is of step 4, and the host has steps 3, 6 of this'):
            _rejoin(cfg, path, tmp_path / 'other.pth')
    expected = torch.load(tmp_path / 'single/iter_6.pth', weights_only=False)['state_dict']
    assert whole.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(whole[name], value, rtol=1e-4, atol=1e-4)


def _rejoin(cfg, path, other):
    content = torch.load(path, weights_only=True)
    content['two_party']['step'] = 4
    torch.save(content, other)
    join_halves(cfg, other)


def test_the_order_on_the_wire_says_nothing(shapes, tmp_path):
    """Sorted: the same bytes for every arrangement of an image's patches. Random: other ones."""
    def sent(order, image):
        requests: list[bytes] = []
        with host(tmp_path / 'host', requests) as address:
            backbone = _connected(address, order=order)
            with torch.no_grad():
                out = backbone(image)[0]
            backbone.connection.close()
        return decode(requests[-1])[1]['patches'], out

    image = torch.randint(0, 256, (1, 3, 32, 48), generator=torch.Generator().manual_seed(0)
                          ).float()
    turned = image.flip(2, 3).unflatten(2, (4, 8)).unflatten(4, (6, 8)).flip(3, 5)
    turned = turned.flatten(4, 5).flatten(2, 3)  # patches in reverse, each as it was
    one, maps = sent('sorted', image)
    other, reversed_maps = sent('sorted', turned)
    assert torch.equal(one, other)
    torch.testing.assert_close(reversed_maps, maps.flip(2, 3))
    assert not torch.equal(sent('random', image)[0], one)
    first, random_maps = sent('random', image)
    assert not torch.equal(first, sent('random', image)[0])
    torch.testing.assert_close(random_maps, maps)


def _connected(address, state=None, **kwargs) -> RemotePEViT:
    from mmdet.models import DetDataPreprocessor
    torch.manual_seed(0)
    backbone = RemotePEViT(
        host=address, arch=dict(embed_dims=8, num_layers=1, num_heads=2),
        **{'wire': 'float32', 'patience': 2, **kwargs})
    if state is not None:
        state.update(backbone.state_dict())
    names = [name for name, p in backbone.named_parameters() if p.requires_grad]
    backbone.connect(DetDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1]), dict(
        type='SGD', groups=[dict(names=names, options=dict(lr=.1))] if names else []),
        'a' * 32, 0, None)
    return backbone


def test_padding_is_not_sent(tmp_path):
    state: dict = {}
    with host(tmp_path / 'host') as address:
        backbone = _connected(address, state)
        images = torch.zeros(2, 3, 24, 32)
        images[0, :, :16, :24] = torch.randint(0, 256, (3, 16, 24)).float()
        images[1] = torch.randint(0, 256, (3, 24, 32)).float()
        images[0, :, 16:] = -7.3  # not of 8 bit
        backbone.expect_grids([(2, 3), (3, 4)])
        with torch.no_grad():
            maps = backbone(images)[0]
        whole = PEViT(arch=dict(embed_dims=8, num_layers=1, num_heads=2)).eval()
        whole.load_state_dict(state)
        torch.testing.assert_close(maps[0, :, :2, :3], whole(images[:1, :, :16, :24])[0][0])
        torch.testing.assert_close(maps[1], whole(images[1:])[0][0])
        assert (maps[0, :, 2:] == 0).all()
        backbone.expect_grids(None)
        with pytest.raises(ValueError, match='not of 8 bit, or the batch is padded'):
            backbone(images)


def test_a_frozen_backbone_is_asked_once(tmp_path):
    """The second time, in another order and mirrored in whole patches, tokens come from here."""
    requests: list[bytes] = []
    with host(tmp_path / 'host', requests) as address:
        backbone = _connected(address, frozen_stages=1)
        assert backbone.frozen
        image = torch.randint(0, 256, (1, 3, 16, 24)).float()
        out = backbone(image)[0]
        count = len(requests)
        again = backbone(torch.cat([image[..., 8:], image[..., :8]], 3))[0]
        assert len(requests) == count
        torch.testing.assert_close(again, torch.cat([out[..., 1:], out[..., :1]], 3))
        assert not out.requires_grad


@pytest.mark.parametrize('answer', ['nan', 'shape', 'int', 'nothing'])
def test_hostile_hosts(tmp_path, answer):
    """Tokens with NaN, of other shapes or types reach no head."""
    from mmppvit.two_party.messages import ProtocolError, encode
    session = HostSession(tmp_path)

    def handle(request):
        if decode(request)[0]['method'] != 'forward':
            return session.handle(request)
        tokens = {'0': dict(nan=torch.full((6, 8), float('nan')), shape=torch.ones(6, 9),
                            int=torch.ones(6, 8, dtype=torch.int8)).get(answer)}
        return encode({}, {} if answer == 'nothing' else tokens)

    class Hostile:
        pass

    hostile = Hostile()
    hostile.handle = handle
    with host(tmp_path, session=hostile) as address:
        backbone = _connected(address)
        with pytest.raises(ProtocolError):
            backbone(torch.zeros(1, 3, 16, 24))


@pytest.mark.parametrize('norm', ['x', -1, True, [1], {'type': 'os.system'}])
def test_a_host_that_sends_no_norm(tmp_path, norm):
    from mmppvit.two_party.messages import ProtocolError
    with host(tmp_path) as address:
        backbone = _connected(address)
        backbone.connection.call = lambda *args, **kwargs: (dict(squared_norm=norm), {}, 1)
        with pytest.raises(ProtocolError, match='squared norm'):
            backbone.send_gradients(1, [torch.ones(2, 8)], [])


def test_what_a_host_says_is_printable(tmp_path):
    from mmppvit.two_party.messages import encode

    class Hostile:
        @staticmethod
        def handle(request):
            return encode(dict(error='\x1b[2J' * 10_000))

    with host(tmp_path, session=Hostile()) as address, pytest.raises(HostError) as caught:
        _connected(address)
    assert '\x1b' not in str(caught.value)
    assert len(str(caught.value)) < 10_000


def test_plaintext_stays_on_this_machine():
    backbone = RemotePEViT(host='example.com:1', arch='tiny')
    from mmdet.models import DetDataPreprocessor
    with pytest.raises(ValueError, match='not of this machine'):
        backbone.connect(DetDataPreprocessor(mean=[0] * 3, std=[1] * 3), {}, 'a' * 32, 0, None)
    with pytest.raises(RuntimeError, match=r"add dict\(type='RemoteBackboneHook'\)"):
        backbone(torch.zeros(1, 3, 16, 16))


def test_a_host_that_is_not_there():
    with pytest.raises(HostError, match='did not answer for 0 s'):
        _connected('127.0.0.1:9', patience=.1)


def test_a_frozen_backbone_trains_the_rest(shapes, tmp_path):
    """No gradient leaves, and each image is sent once in two epochs."""
    requests: list[bytes] = []
    with host(tmp_path / 'host', requests) as address:
        cfg = training_config(shapes, tmp_path / 'owner', remote(address, frozen_stages=2))
        for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
            cfg.pop(key)
        train(cfg)
    methods = [decode(r)[0]['method'] for r in requests]
    assert methods.count('forward') == 3  # batches of two of six images
    assert set(methods) == {'open', 'weights', 'forward', 'save'}
