"""PEYOLOS against the released layout written out, and what a batch must not change."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional

from mmppvit.encryption import mix_sub_patches
from mmppvit.models import PEYOLOS, YOLOSViT
from mmppvit.models.checkpoints import TableSizes, to_peyolos, write_state_dict
from tests.models.released_yolos import ReleasedYOLOS

SIZES = [(64, 96), (48, 80), (96, 64), (16, 128)]


def config(released: ReleasedYOLOS, grid: int, **backbone) -> ConfigDict:
    return ConfigDict(
        type='PEYOLOS',
        data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=16 // grid),
        backbone=dict(
            type='YOLOSViT',
            arch=dict(embed_dims=released.dims, num_layers=released.layers,
                      num_heads=released.heads),
            grid=grid, num_det_tokens=released.queries, table_size=released.table,
            mid_table_size=released.mid_table, **backbone),
        bbox_head=dict(type='YOLOSHead', num_classes=released.classes, embed_dims=released.dims),
        train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[
            dict(type='ClassificationCost', weight=1.),
            dict(type='BBoxL1Cost', weight=5., box_format='xywh'),
            dict(type='IoUCost', iou_mode='giou', weight=2.)])),
        test_cfg=dict(max_per_img=released.queries))


def renamed(state: dict) -> dict:
    """The released names and tensors under those of the detector, without the converter."""
    state = dict(state)
    embed = 'backbone.patch_embed.'
    for kind in ('weight', 'bias'):
        if f'{embed}proj_siat.{kind}' in state:
            state[f'{embed}proj.{kind}'] = state.pop(f'{embed}proj_siat.{kind}')
            state[f'{embed}mixer.1.{kind}'] = state.pop(f'{embed}proj_siat_embed.{kind}')
    return {name if name.startswith('backbone') else f'bbox_head.{name}': value
            for name, value in state.items()}


def build(cfg: dict, state: dict | None = None, seed: int = 0) -> PEYOLOS:
    torch.manual_seed(seed)
    detector = MODELS.build(dict(cfg, _scope_='mmdet')).eval()
    if state is not None:
        detector.load_state_dict(state, strict=True)
    return detector


def build_released(grid: int, mid_table: tuple[int, int] | None = None) -> PEYOLOS:
    """With weights under which every token and position matters."""
    released = ReleasedYOLOS(mid_table=mid_table, mixed=grid == 2)
    return build(config(released, grid, nonlinear_embed=grid == 2),
                 renamed(released.state_dict()))


def mix(img: torch.Tensor, grid: int = 2, patch: int = 16) -> torch.Tensor:
    """(3, H, W) float, mixed without rounding, written as a mean over sub-patches."""
    side = patch // grid
    c, h, w = img.shape
    parts = img.reshape(c, h // patch, grid, side, w // patch, grid, side)
    return parts.mean((2, 5)).reshape(c, h // grid, w // grid)


def sample(shape: tuple[int, int], scale: tuple[float, float] = (1., 1.)) -> DetDataSample:
    return DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=scale,
                                       batch_input_shape=shape))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('mid_table', [None, (64, 96), (32, 64)])
def test_plain_yolos_equals_the_released_layout(size, mid_table):
    released = ReleasedYOLOS(mid_table=mid_table)
    state = released.state_dict()
    detector = build(config(released, grid=1), renamed(state))
    img = torch.randn(3, *size)
    expected = released.forward(state, img)
    for got, want in zip(detector(img[None], mode='tensor'), expected, strict=True):
        torch.testing.assert_close(got[0, 0], want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('mid_table', [None, (64, 96)])
def test_mixed_image_equals_mixing_in_the_released_model(size, mid_table):
    """``AvgPool(Conv(x)) == Conv(mix(x))`` end to end: the plain image goes into theirs."""
    released = ReleasedYOLOS(mid_table=mid_table, mixed=True)
    detector = build_released(grid=2, mid_table=mid_table)
    img = torch.randn(3, *size)
    expected = released.forward(released.state_dict(), img)
    for got, want in zip(detector(mix(img)[None], mode='tensor'), expected, strict=True):
        torch.testing.assert_close(got[0, 0], want, atol=1e-5, rtol=1e-5)


def test_mixing_here_is_mixing_there():
    img = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    exact = mix(torch.from_numpy(img).permute(2, 0, 1).double())
    got = torch.from_numpy(mix_sub_patches(img)).permute(2, 0, 1)
    assert (got - exact).abs().max() <= .5


@pytest.mark.parametrize('mid_table', [None, (32, 64)])
@pytest.mark.parametrize('grid', [1, 2])
def test_predictions_do_not_depend_on_the_batch(grid, mid_table):
    detector = build_released(grid, mid_table)
    shapes = [(side[0] // grid, side[1] // grid) for side in
              [(64, 96), (48, 80), (96, 64), (64, 96), (16, 128), (40, 56), (32, 32), (96, 128)]]
    imgs = [torch.randn(3, *shape) for shape in shapes]

    def predict(indices):
        data = dict(inputs=[imgs[i] for i in indices],
                    data_samples=[sample(shapes[i]) for i in indices])
        with torch.no_grad():
            return [out.pred_instances for out in detector.test_step(data)]

    together = predict(range(8))
    for i, got in enumerate(together):
        alone = predict([i])[0]
        torch.testing.assert_close(got.scores, alone.scores, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(got.bboxes, alone.bboxes, atol=1e-3, rtol=1e-5)
        assert torch.equal(got.labels, alone.labels)


def test_padding_would_matter_without_the_mask():
    """The test above can fail: positions and attention of the padded batch are others."""
    detector = build_released(grid=1)
    img = torch.randn(1, 3, 48, 80)
    padded = functional.pad(img, (0, 48, 0, 48))
    alone = detector.backbone(img)
    assert not torch.allclose(detector.backbone(padded), alone, atol=.1)
    torch.testing.assert_close(detector.backbone(padded, [(48, 80)]), alone, atol=1e-5, rtol=0)


def test_gradients_do_not_depend_on_the_batch():
    """Losses of a batch are those of its images; what is padding gets no gradient."""
    detector = build(config(ReleasedYOLOS(), grid=1)).train()
    x = torch.randn(2, 3, 64, 96, requires_grad=True)
    detector.backbone(x, [(64, 96), (32, 48)]).square().sum().backward()
    assert x.grad[1, :, 32:].abs().max() == 0
    assert x.grad[1, :, :, 48:].abs().max() == 0
    assert x.grad[1, :, :32, :48].abs().min() > 0


def test_checkpointing_changes_memory_only():
    released = ReleasedYOLOS(mid_table=(32, 64))
    plain, saving = (build(config(released, 2, with_cp=with_cp)) for with_cp in (False, True))
    x, shapes = torch.randn(2, 3, 32, 48), [(32, 48), (16, 24)]
    grads = []
    for detector in (plain, saving):
        detector.train()
        detector.backbone(x, shapes).square().mean().backward()
        grads.append([p.grad for p in detector.backbone.parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)


def training_batch(shapes: list[tuple[int, int]]) -> dict:
    samples = [sample(shape) for shape in shapes]
    for (height, width), item in zip(shapes, samples, strict=True):
        item.gt_instances = InstanceData(
            bboxes=torch.tensor([[0., 0., width / 2, height / 2],
                                 [width / 4, height / 4, width, height]]),
            labels=torch.tensor([0, 3]))
    return dict(inputs=[torch.randint(0, 256, (3, *shape), dtype=torch.uint8)
                        for shape in shapes], data_samples=samples)


def test_init_cfg_loads_a_converted_file(tmp_path):
    released = ReleasedYOLOS()
    converted, _ = to_peyolos(released.state_dict(), 'yolos', arch=dict(
        embed_dims=released.dims, num_layers=released.layers, num_heads=released.heads), grid=1,
        sizes=TableSizes(init=released.table))
    write_state_dict(tmp_path / 'yolos.safetensors', converted)
    cfg = config(released, 1, init_cfg=dict(
        type='Pretrained', checkpoint=str(tmp_path / 'yolos.safetensors')))
    detector = build(cfg)
    detector.init_weights()
    for name, value in detector.backbone.state_dict().items():
        assert torch.equal(value, converted[f'backbone.{name}']), name


def test_overfits_one_batch():
    torch.manual_seed(0)
    detector = build(config(ReleasedYOLOS(), grid=2)).train()
    data = detector.data_preprocessor(training_batch([(32, 48), (24, 40)]), True)
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-3)
    history = []
    for _ in range(120):
        losses = detector.loss(**{'batch_inputs': data['inputs'] / 255,
                                  'batch_data_samples': data['data_samples']})
        assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_iou'}
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < .3 * history[0]
    detector.eval()
    found = detector.predict(data['inputs'] / 255, data['data_samples'])
    for item in found:
        best = item.pred_instances[item.pred_instances.scores.topk(2).indices]
        assert sorted(best.labels.tolist()) == [0, 3]


def test_no_object_weighs_a_tenth():
    head = build(config(ReleasedYOLOS(), grid=2)).bbox_head
    assert head.loss_cls.class_weight == [1.] * 4 + [.1]
    assert head.bg_cls_weight == .1


def test_patches_have_the_losses_they_have_without_the_padding_of_a_batch():
    cfg = config(ReleasedYOLOS(), grid=2)
    cfg.bbox_head.patch_loss_weight = 1.
    detector = build(cfg)  # in eval mode: without dropout
    losses = []
    for shapes in ([(32, 48)], [(48, 32)], [(32, 48), (48, 32)]):
        data = detector.data_preprocessor(training_batch(shapes), True)
        losses.append(detector.loss(data['inputs'], data['data_samples']))
    counts = [sum(name.startswith('patch') for name in loss) for loss in losses]
    assert counts == [3, 3, 3]
    tokens, patches = detector.backbone(data['inputs'], [s.img_shape for s in data['data_samples']],
                                        with_patches=True)
    assert [tuple(p.shape[:2]) for p in patches] == [(4, 6), (6, 4)]
    for index, shape in enumerate([(32, 48), (48, 32)]):
        alone = detector.backbone(data['inputs'][index:index + 1, :, :shape[0], :shape[1]], [shape],
                                  with_patches=True)
        torch.testing.assert_close(patches[index], alone[1][0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tokens[index], alone[0][0], rtol=1e-4, atol=1e-5)


def test_empty_image_has_losses():
    detector = build(config(ReleasedYOLOS(), grid=2)).train()
    data = training_batch([(32, 48)])
    data['data_samples'][0].gt_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    data = detector.data_preprocessor(data, True)
    losses = detector.loss(data['inputs'], data['data_samples'])
    sum(losses.values()).backward()
    assert losses['loss_bbox'] == losses['loss_iou'] == 0


@pytest.mark.parametrize(('change', 'error'), [
    (dict(table_size=(8, 96)), 'at least a patch of 16 pixels'),
    (dict(arch='huge'), "'huge' is unknown"),
])
def test_wrong_arguments(change, error):
    with pytest.raises(ValueError, match=error):
        YOLOSViT(**{'arch': 'tiny', **change})


def test_shapes_of_another_batch_are_refused():
    vit = YOLOSViT(arch=dict(embed_dims=8, num_layers=1, num_heads=1), num_det_tokens=3)
    with pytest.raises(ValueError, match='img_shape of the data samples'):
        vit(torch.zeros(1, 3, 16, 16), [(16, 64)])


def test_sigmoid_is_refused():
    with pytest.raises(ValueError, match='use_sigmoid has to be False'):
        MODELS.build(dict(type='mmdet.YOLOSHead', num_classes=2, embed_dims=8,
                          loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)))


def test_layer_depth():
    vit = YOLOSViT(arch=dict(embed_dims=8, num_layers=2, num_heads=1), num_det_tokens=3)
    depth = {name: vit.get_layer_depth(f'backbone.{name}', 'backbone.')[0]
             for name, _ in vit.named_parameters()}
    assert depth['pos_embed'] == depth['det_token'] == depth['patch_embed.proj.weight'] == 0
    assert depth['blocks.1.attn.qkv.weight'] == 2
    assert depth['norm.weight'] == vit.get_layer_depth('bbox_head.x', 'backbone.')[0] == 3
