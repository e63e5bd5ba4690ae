"""Checkpoints of others for the detector PEYOLOS."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmengine.runner import load_checkpoint

from mmppvit.models import PEYOLOS, YOLOSViT
from mmppvit.models.checkpoints import (
    TableSizes,
    load_pretrained,
    mix_kernel,
    to_peyolos,
    write_state_dict,
)
from mmppvit.models.checkpoints.coco_classes import coco80_rows
from mmppvit.models.checkpoints.positions import infer_cells, resize_rows
from tests.models.checkpoints.layouts import detectron2_vitdet, timm_vit
from tests.models.released_yolos import ReleasedYOLOS

KERNEL = 'patch_embed.proj.weight'
HEAD = 'class_embed.layers.2.'
SIZES = TableSizes(init=(64, 96))  # of ReleasedYOLOS
ARCH = dict(embed_dims=24, num_layers=3, num_heads=2)


def _build(report, num_classes: int = 4) -> PEYOLOS:
    """The detector that the account says the tensors are for."""
    backbone = dict(report.config['backbone'])
    if not isinstance(backbone['arch'], str):
        backbone['arch'] = {**backbone['arch'], 'num_heads': 2}
    head = {'num_classes': num_classes, **report.config['bbox_head']}
    return MODELS.build(dict(type='PEYOLOS', _scope_='mmdet', backbone=backbone, bbox_head=head,
                             train_cfg=None)).eval()


def _check(state, converted, report) -> PEYOLOS:
    detector = _build(report)
    own = detector.state_dict()
    assert report.complete
    assert report.sources() == sorted(state)
    assert len(set(report.sources())) == len(report.sources())
    assert report.targets() == sorted(own)
    result = detector.load_state_dict(converted, strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) <= report.initialized.keys()
    return detector


@pytest.mark.parametrize('mid_table', [None, (32, 48), (64, 96)])
@pytest.mark.parametrize('mixed', [False, True])
def test_released_detectors_give_the_same_output(mixed, mid_table):
    """Names, shapes, and what the tensors do: against the models written out."""
    released = ReleasedYOLOS(mixed=mixed, mid_table=mid_table)
    state = released.state_dict()
    sizes = TableSizes(init=(64, 96), mid_init=mid_table)
    converted, report = to_peyolos(
        state, 'peyolos' if mixed else 'yolos', grid=2 if mixed else 1, nonlinear_embed=mixed,
        sizes=sizes)
    detector = _check(state, converted, report)
    assert not report.initialized
    assert not report.adapted
    assert converted.keys() == detector.state_dict().keys()
    img = torch.randn(3, 48, 80)
    fed = img
    if mixed:
        fed = img.reshape(3, 3, 2, 8, 5, 2, 8).mean((2, 5)).reshape(3, 24, 40)
    logits, boxes = detector._forward(fed[None])
    expected = released.forward(state, img)
    torch.testing.assert_close(logits[0, 0], expected[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(boxes[0, 0], expected[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('nonlinear', [False, True])
def test_yolos_for_mixed_images(nonlinear):
    state = ReleasedYOLOS().state_dict()
    converted, report = to_peyolos(state, 'yolos', nonlinear_embed=nonlinear, sizes=SIZES)
    _check(state, converted, report)
    torch.testing.assert_close(converted[f'backbone.{KERNEL}'],
                               mix_kernel(state[f'backbone.{KERNEL}'], 2))
    assert list(report.adapted) == [f'backbone.{KERNEL}']
    new = [f'backbone.patch_embed.mixer.1.{kind}' for kind in ('bias', 'weight')]
    assert list(report.initialized) == (new if nonlinear else [])


@pytest.mark.parametrize('name', ['deit_tiny_patch16_224', 'deit_tiny_distilled_patch16_224'])
def test_deit_leaves_nothing_unexplained(name):
    state = timm.create_model(name, pretrained=False).state_dict()
    state = {key: value.normal_(generator=torch.Generator().manual_seed(1)) if 'pos' in key
             else value for key, value in state.items()}
    converted, report = to_peyolos(state, 'deit', sizes=TableSizes(table=(80, 96)),
                                   num_det_tokens=9)
    assert report.config['backbone'] == dict(
        type='YOLOSViT', arch='tiny', patch_size=16, grid=2, nonlinear_embed=False,
        num_det_tokens=9, table_size=(80, 96))
    _check(state, converted, report)
    assert 'backbone.det_token' in report.initialized
    assert sum(name.startswith('bbox_head.') for name in report.initialized) == 12
    assert 'backbone.det_token' not in converted
    table, lead = state['pos_embed'], 2 if 'distilled' in name else 1
    made = converted['backbone.pos_embed']
    assert made.shape == (1, 1 + 5 * 6 + 9, 192)
    assert torch.equal(made[:, 0], table[:, 0])
    expected = resize_rows(table[:, lead:], (14, 14), (5, 6))
    assert torch.equal(made[:, 1:31], expected)
    assert 0 < made[:, 31:].std() < .03
    how = report.adapted['pos_embed']
    assert 'patches 14x14 resized to 5x6' in how
    assert 'rows of 9 detection tokens drawn at random' in how
    assert ('1 rows of dist or register tokens dropped' in how) == (lead == 2)
    assert ('dist_token' in report.dropped) == (lead == 2)
    again = to_peyolos(state, 'deit', sizes=TableSizes(table=(80, 96)), num_det_tokens=9)[0]
    assert torch.equal(again['backbone.pos_embed'], made)  # the drawn rows, too


def test_vitdet_keeps_what_yolos_has_a_place_for():
    state = detectron2_vitdet()
    converted, report = to_peyolos(state, 'vitdet', arch=ARCH)
    _check(state, converted, report)
    assert report.initialized['backbone.cls_token'] == 'ViTDet has no class token'
    assert 'backbone.net.pos_embed' in report.adapted
    assert torch.equal(converted['backbone.pos_embed'][:, :17], state['backbone.net.pos_embed'])


def test_a_table_without_a_class_token():
    converted, report = to_peyolos(timm_vit(no_embed_class=True), 'timm')
    assert converted['backbone.pos_embed'].shape == (1, 1 + 16 + 100, 24)
    assert (converted['backbone.pos_embed'][:, 0] == 0).all()
    assert 'class token at 0' in report.adapted['pos_embed']


def test_mid_tables_may_be_asked_for():
    report = to_peyolos(timm_vit(), 'timm', sizes=TableSizes(mid_table=(32, 64)))[1]
    assert report.initialized['backbone.mid_pos_embed']
    assert report.config['backbone']['mid_table_size'] == (32, 64)
    assert _build(report).backbone.mid_pos_embed.shape == (2, 1, 1 + 8 + 100, 24)


def test_tables_are_resized_as_the_model_would():
    """A table of another size, between blocks as well, is what the model makes of the old one."""
    released = ReleasedYOLOS(mid_table=(32, 48))
    state = released.state_dict()
    sizes = TableSizes((64, 96), (32, 48), (48, 80), (48, 80))
    converted, report = to_peyolos(state, 'yolos', grid=1, sizes=sizes)
    detector = _check(state, converted, report)
    assert report.adapted == {
        'backbone.pos_embed': 'patches 4x6 resized to 3x5',
        'backbone.mid_pos_embed': 'patches 2x3 resized to 3x5'}
    img = torch.randn(3, 48, 80)
    torch.testing.assert_close(detector._forward(img[None])[0][0, 0],
                               released.forward(state, img)[0], rtol=1e-4, atol=1e-4)


# --- classes ------------------------------------------------------------------------------


def test_coco_numbers_are_those_of_the_data_set():
    """Rows that hold their own number, against COCO's categories as its json numbers them."""
    rows = coco80_rows(torch.arange(92)).tolist()
    assert len(rows) == 81
    names = CocoDataset.METAINFO['classes']
    known = {'person': 1, 'fire hydrant': 11, 'stop sign': 13, 'backpack': 27, 'umbrella': 28,
             'handbag': 31, 'bottle': 44, 'wine glass': 46, 'dining table': 67, 'toilet': 70,
             'tv': 72, 'refrigerator': 82, 'book': 84, 'toothbrush': 90}
    assert {name: rows[names.index(name)] for name in known} == known
    assert rows[80] == 91
    assert rows == sorted(set(rows))


@pytest.mark.parametrize(('classes', 'logits'), [(None, 81), ('coco80', 81), ('keep', 92)])
def test_the_92_logits_of_coco(classes, logits):
    state = ReleasedYOLOS(classes=91).state_dict()
    converted, report = to_peyolos(state, 'yolos', sizes=SIZES, classes=classes)
    _check(state, converted, report)
    assert report.config['bbox_head'] == dict(
        type='YOLOSHead', embed_dims=24, num_classes=logits - 1)
    for kind in ('weight', 'bias'):
        value = converted[f'bbox_head.{HEAD}{kind}']
        rows = [*range(1, 12), 13, 90, 91] if logits == 81 else range(92)
        ours = [*range(11), 11, 79, 80] if logits == 81 else range(92)
        assert torch.equal(value[list(ours)], state[f'{HEAD}{kind}'][list(rows)])
        assert (HEAD + kind in report.adapted) == (logits == 81)


def test_classes_that_are_not_coco():
    converted, _ = to_peyolos(ReleasedYOLOS().state_dict(), 'yolos', sizes=SIZES)
    assert len(converted[f'bbox_head.{HEAD}bias']) == 5
    with pytest.raises(ValueError, match=r'has 5 logits and not the 92 .* --classes keep'):
        to_peyolos(ReleasedYOLOS().state_dict(), 'yolos', sizes=SIZES, classes='coco80')


# --- tables -------------------------------------------------------------------------------


@pytest.mark.parametrize(('rows', 'size', 'cells'), [
    (196, None, (14, 14)), (4150, None, (50, 83)), (1728, None, (32, 54)),
    (4200, None, (50, 84)), (24, (64, 96), (4, 6)), (24, (79, 111), (4, 6)),
    (1728, (576, 768), (36, 48))])
def test_sizes_of_tables(rows, size, cells):
    assert infer_cells(rows, 16, size) == cells


@pytest.mark.parametrize(('rows', 'size', 'message'), [
    (24, None, 'table of 24 patches cannot be inferred: .* --init-size H W'),
    (24, (64, 64), 'an image of 64x64 has 4x4 patches of 16, and the table has 24')])
def test_sizes_that_cannot_be(rows, size, message):
    with pytest.raises(ValueError, match=message):
        infer_cells(rows, 16, size)


@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 9)] * 2),
       st.floats(-4, 4))
def test_resizing_keeps_what_is_constant(cells, to, value):
    table = torch.full((2, cells[0] * cells[1], 3), value)
    resized = resize_rows(table, cells, to)
    torch.testing.assert_close(resized, torch.full((2, to[0] * to[1], 3), value))


def test_the_classifier_of_encrypted_images_leaves_positions_as_they_start(tmp_path):
    torch.manual_seed(0)
    classifier = timm.create_model('pevit_tiny_patch16_224_mix', embed_dim=24, depth=3, num_heads=2)
    state = classifier.state_dict()
    converted, report = to_peyolos(state, 'timm', sizes=TableSizes(table=(64, 96)),
                                   num_det_tokens=5)
    detector = _check(state, converted, report)
    trunk = detector.backbone.state_dict()
    left = {name for name in trunk if f'backbone.{name}' not in converted}
    assert left == {'pos_embed', 'det_token'}
    assert trunk['pos_embed'].shape == (1, 1 + 4 * 6 + 5, 24)
    # The kernel is one for mixed images already.
    assert torch.equal(trunk[KERNEL], state[KERNEL])

    write_state_dict(tmp_path / 'a.safetensors', converted)
    alone = YOLOSViT(ARCH, table_size=(64, 96), num_det_tokens=5)
    before = alone.pos_embed.clone()
    load_pretrained(alone, str(tmp_path / 'a.safetensors'))
    assert torch.equal(alone.blocks[2].attn.qkv.weight, state['blocks.2.attn.qkv.weight'])
    assert torch.equal(alone.pos_embed, before)

    damaged = {name: value for name, value in alone.state_dict().items() if name != 'pos_embed'}
    write_state_dict(tmp_path / 'b.safetensors', damaged)
    with pytest.raises(ValueError, match=r'1 tensors missing, 0 unexpected, .*pos_embed'):
        load_pretrained(alone, str(tmp_path / 'b.safetensors'))


@given(st.tuples(*[st.integers(2, 6)] * 2), st.tuples(*[st.integers(2, 12)] * 2))
def test_resizing_commutes_with_turning_rows_and_columns(cells, to):
    """Rows are rows: a table that was laid out the other way would not pass."""
    maps = torch.randn(1, *cells, 4, generator=torch.Generator().manual_seed(0))
    turned = resize_rows(maps.transpose(1, 2).reshape(1, -1, 4), cells[::-1], to[::-1])
    expected = resize_rows(maps.reshape(1, -1, 4), cells, to).unflatten(1, to).transpose(1, 2)
    torch.testing.assert_close(turned, expected.reshape(1, -1, 4), rtol=1e-4, atol=1e-5)


def test_half_precision_stays():
    table = torch.randn(1, 16, 4).bfloat16()
    assert resize_rows(table, (4, 4), (2, 3)).dtype is torch.bfloat16


@pytest.mark.parametrize(('state', 'source', 'options', 'message'), [
    (ReleasedYOLOS().state_dict, 'yolos', dict(), 'cannot be inferred'),
    (ReleasedYOLOS().state_dict, 'yolos', dict(sizes=SIZES, num_det_tokens=3),
     'has 7 detection tokens: leave --det-tokens 3 out'),
    (ReleasedYOLOS(mixed=True).state_dict, 'peyolos', dict(sizes=SIZES), '--nonlinear-embed'),
    (timm_vit, 'timm', dict(sizes=TableSizes(table=(8, 64))), '8x64 has no patch of 16'),
    (timm_vit, 'timm', dict(grid=3), 'grid 3 does not divide'),
    (lambda: {k: v for k, v in timm_vit().items() if k != 'pos_embed'}, 'timm', dict(),
     'give the size of the images that the new table is for, --table-size'),
    (lambda: {k: v for k, v in ReleasedYOLOS().state_dict().items() if 'pos_' not in k}, 'yolos',
     dict(sizes=SIZES), 'no pos_embed, and PEYOLOS needs positions'),
])
def test_what_is_refused(state, source, options, message):
    with pytest.raises(ValueError, match=message):
        to_peyolos(state(), source, **options)


def test_a_head_that_is_missing_is_not_left_at_init():
    state = ReleasedYOLOS().state_dict()
    del state['bbox_embed.layers.1.bias']
    report = to_peyolos(state, 'yolos', sizes=SIZES)[1]
    assert report.missing == ['bbox_head.bbox_embed.layers.1.bias']


# --- into models --------------------------------------------------------------------------


def test_load_from_takes_the_file(tmp_path):
    state = ReleasedYOLOS().state_dict()
    converted, report = to_peyolos(state, 'yolos', sizes=SIZES)
    write_state_dict(tmp_path / 'a.pth', converted)
    detector = _build(report)
    load_checkpoint(detector, str(tmp_path / 'a.pth'), strict=True)
    assert torch.equal(detector.bbox_head.bbox_embed.layers[0].weight,
                       state['bbox_embed.layers.0.weight'])


@pytest.mark.parametrize(('source', 'state', 'sizes'), [
    ('yolos', ReleasedYOLOS().state_dict, SIZES),
    ('timm', timm_vit, TableSizes()),
    ('vitdet', detectron2_vitdet, TableSizes()),
])
def test_a_backbone_alone_takes_its_part(tmp_path, source, state, sizes):
    converted, report = to_peyolos(state(), source, nonlinear_embed=True, sizes=sizes)
    write_state_dict(tmp_path / 'a.safetensors', converted)
    model = _build(report).backbone
    loaded = load_pretrained(model, str(tmp_path / 'a.safetensors'))
    own = model.state_dict()
    for name in loaded.copied:
        assert torch.equal(own[name.removeprefix('backbone.')], converted[name])
    assert all(name.startswith('bbox_head.') for name in loaded.dropped)


def test_a_backbone_with_another_table_does_not_take_it(tmp_path):
    converted, _ = to_peyolos(timm_vit(), 'timm')
    write_state_dict(tmp_path / 'a.pth', converted)
    with pytest.raises(ValueError, match=r'1 unexpected, .*pos_embed'):
        load_pretrained(YOLOSViT(ARCH, table_size=(64, 96)), str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('source', ['yolos', 'peyolos'])
def test_a_new_embedding_and_no_tables_between_blocks(source):
    """What the published command starts from: everything else is copied."""
    released = ReleasedYOLOS(mid_table=(64, 96), mixed=source == 'peyolos')
    state = released.state_dict()
    converted, report = to_peyolos(state, source, arch=ARCH, nonlinear_embed=True, sizes=SIZES,
                                   new_embed=True, drop_mid_table=True)
    assert not any('patch_embed' in name or 'mid_pos' in name for name in converted)
    detector = _check(state, converted, report)
    assert detector.backbone.mid_pos_embed is None
    assert set(report.initialized.values()) == {'the embedding starts anew: --new-embed'}
    assert len(report.copied) == len(converted)
