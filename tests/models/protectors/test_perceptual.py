"""Perceptual distances: what they measure, what is frozen, which files they take."""
from __future__ import annotations

import pytest
import torch
from torch import nn

from mmppvit.models.protectors import BackboneDistance, RandomFeatureDistance, VGGDistance


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(2, 3, 24, 32, requires_grad=True), torch.rand(2, 3, 24, 32)


def _vgg16(prefix: str = 'features.') -> dict[str, torch.Tensor]:
    """The start of torchvision's state dict, and a part of the rest."""
    torch.manual_seed(1)
    shapes = {'0': (64, 3), '2': (64, 64), '5': (128, 64), '7': (128, 128), '10': (256, 128)}
    state = {f'{prefix}{i}.weight': torch.randn(*shape, 3, 3) / 30 for i, shape in shapes.items()}
    state.update({f'{prefix}{i}.bias': torch.randn(shape[0]) for i, shape in shapes.items()})
    return state


def test_the_distance_is_that_of_relu2_2(pair, tmp_path):
    torch.save(_vgg16(), tmp_path / 'vgg.pth')
    distance = VGGDistance(str(tmp_path / 'vgg.pth'))
    state = _vgg16('')

    def features(x):
        x = (x - torch.tensor([.485, .456, .406]).view(3, 1, 1)) / torch.tensor(
            [.229, .224, .225]).view(3, 1, 1)
        for name in ('0', '2', 'pool', '5', '7'):
            x = nn.functional.max_pool2d(x, 2) if name == 'pool' else nn.functional.conv2d(
                x, state[f'{name}.weight'], state[f'{name}.bias'], padding=1).relu()
        return x

    expected = (features(pair[0]) - features(pair[1])).square().mean()
    torch.testing.assert_close(distance(*pair), expected)


@pytest.mark.parametrize('kind', ['missing', 'batch norm', 'empty'])
def test_files_that_are_no_vgg16(kind, tmp_path):
    path, error = tmp_path / 'vgg.pth', ValueError
    if kind == 'missing':
        error, text = FileNotFoundError, (
            r"no VGG16 weights .*vgg16-397923af.pth; .*RandomFeatureDistance'\) needs none")
    elif kind == 'batch norm':
        state = _vgg16()
        state['features.2.weight'] = torch.ones(64)
        torch.save(state, path)
        text = 'is not a VGG16 without batch norm'
    else:
        torch.save({}, path)
        text = 'holds no tensors'
    with pytest.raises(error, match=text):
        VGGDistance(str(path))


def test_random_features_are_the_same_everywhere(pair):
    one, other = (RandomFeatureDistance((4, 8), seed) for seed in (0, 1))
    assert float(one(*pair)) == pytest.approx(float(RandomFeatureDistance((4, 8))(*pair)))
    assert float(one(*pair)) != pytest.approx(float(other(*pair)), rel=1e-3)
    torch.testing.assert_close(
        RandomFeatureDistance().layers[0].weight[0, 0, 0],
        torch.tensor([-.3064, -.3136, -.0682]), rtol=0, atol=1e-4)


def test_random_features_keep_the_scale():
    a, b = torch.randn(2, 1, 3, 64, 64).mul(.225).add(.45)
    assert .3 < float(RandomFeatureDistance()(a, b)) < 3


def test_gradients_reach_the_protected_images_only(pair):
    distance = RandomFeatureDistance((4, 8))
    plain = pair[1].requires_grad_()
    distance(pair[0], plain).backward()
    assert pair[0].grad.abs().sum() > 0
    assert plain.grad is None
    assert all(param.grad is None and not param.requires_grad for param in distance.parameters())


def test_equal_images_have_no_distance(pair):
    assert RandomFeatureDistance((4, 8))(pair[1], pair[1].clone()) == 0


def test_float32_under_autocast(pair):
    with torch.autocast('cpu', torch.bfloat16):
        found = RandomFeatureDistance((4, 8))(*pair)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, RandomFeatureDistance((4, 8))(*pair), rtol=.02, atol=0)


@pytest.mark.parametrize('crop', [8, 24, 100])
def test_a_window_is_the_same_in_both(crop, pair):
    distance = RandomFeatureDistance((4, 8), crop=crop)
    assert distance(pair[1], pair[1].clone()) == 0
    seen = []
    distance.features = lambda x: (seen.append(x) or x, )
    distance(*pair)
    assert {x.shape[2:] for x in seen} == {torch.Size((min(crop, 24), min(crop, 32)))}


class _Detector(nn.Module):
    """What BackboneDistance uses of a detector."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = lambda x: (x, x[..., ::2])

    def data_preprocessor(self, data: dict) -> dict:
        return dict(inputs=torch.stack(data['inputs']) - 3)


def test_backbone_features_of_bgr_images(pair):
    distance = BackboneDistance()
    distance.attach(_Detector())
    maps = distance.features(pair[1])
    torch.testing.assert_close(maps[0], pair[1].flip(1) * 255 - 3)
    squares = ((pair[0] - pair[1]) * 255).square()
    expected = (squares.mean() + squares[..., ::2].mean()) / 2
    torch.testing.assert_close(distance(*pair), expected)
    assert not distance.state_dict()
