"""The operators against slow references, values and gradients."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)

from mmppvit.compat.ops import nms as nms_module
from mmppvit.compat.ops import roi_align as roi_align_module
from mmppvit.compat.ops.deform_attn import ms_deform_attn_forward
from mmppvit.compat.ops.focal_loss import sigmoid_focal_loss_forward
from mmppvit.compat.ops.nms import plain_nms
from mmppvit.compat.torchvision_schemas import binary_loads

pytestmark = pytest.mark.skipif(
    type(__import__('sys').modules['mmcv._ext']).__name__ != '_StandIn',
    reason='the compiled operators of mmcv are installed')


def iou(a, b, offset):
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    union = sum(areas) - width * height
    return width * height / union if union else 0


def greedy_nms(boxes, scores, threshold, offset):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[k], boxes[i], offset) <= threshold for k in kept):
            kept.append(i)
    return kept


# Small whole numbers: many ties, equal boxes, boxes of area 0 and overlaps at the threshold.
box = st.tuples(*[st.integers(0, 8)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(box, st.integers(0, 4)), max_size=40),
       st.sampled_from([0.25, 0.5, 0.7]), st.sampled_from([0, 1]), st.sampled_from([3, 1024]))
def test_nms_is_greedy(items, threshold, offset, block):
    boxes, scores = [i[0] for i in items], [i[1] for i in items]
    saved = nms_module.BLOCK, nms_module.COLUMNS
    nms_module.BLOCK = nms_module.COLUMNS = block
    try:
        kept = plain_nms(torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
                         torch.tensor(scores, dtype=torch.float64), threshold, offset)
    finally:
        nms_module.BLOCK, nms_module.COLUMNS = saved
    assert kept.dtype == torch.int64
    assert kept.tolist() == greedy_nms(boxes, scores, threshold, offset)


def test_nms_settles_a_long_chain():
    # Each box suppresses its neighbor alone, so that every second one stays.
    x = torch.arange(1500.)[:, None] * 4
    boxes = torch.cat([x, x * 0, x + 10, x * 0 + 10], 1)
    kept = plain_nms(boxes, torch.arange(1500., 0, -1), 0.4)
    assert kept.tolist() == list(range(0, 1500, 2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_nms_takes_every_precision(dtype):
    boxes = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], dtype=dtype)
    assert plain_nms(boxes, torch.tensor([1, 3, 2], dtype=dtype), 0.5).tolist() == [1, 2]


def test_mmcv_nms_and_batched_nms():
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], dtype=np.float32)
    dets, kept = ops.nms(boxes, np.array([.9, .8, .7], dtype=np.float32), 0.5, score_threshold=0.1)
    assert kept.tolist() == [0, 2]
    assert dets.shape == (2, 5)
    boxes = torch.from_numpy(boxes)
    dets, kept = ops.batched_nms(boxes, torch.tensor([.9, .8, .7]), torch.tensor([0, 1, 0]),
                                 dict(type='nms', iou_threshold=0.5))
    assert kept.tolist() == [0, 1, 2]


def reference_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    scores, left, out = list(scores), list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        out.append((best, scores[best]))
        left.remove(best)
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            if method == 'gaussian':
                scores[i] *= math.exp(-overlap**2 / sigma)
            elif overlap >= threshold:
                scores[i] *= 0 if method == 'naive' else 1 - overlap
            if scores[i] < min_score:
                left.remove(i)
    return out


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('offset', [0, 1])
def test_soft_nms(method, offset):
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(30, 2, generator=random, dtype=torch.float64) * 20
    boxes = torch.cat([corner, corner + 5 + corner.flip(0)], 1)
    scores = torch.rand(30, generator=random, dtype=torch.float64)
    dets, kept = ops.soft_nms(boxes, scores, 0.3, 0.5, 0.1, method, offset)
    expected = reference_soft_nms(
        boxes.tolist(), scores.tolist(), 0.3, 0.5, 0.1, method, offset)
    assert kept.tolist() == [i for i, _ in expected]
    assert dets[:, 4].tolist() == pytest.approx([s for _, s in expected])
    assert torch.equal(dets[:, :4], boxes[kept])


def test_soft_nms_of_nothing():
    assert ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))[1].tolist() == []


def interpolate(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return plane.new_zeros(())
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return ((1 - dy) * ((1 - dx) * plane[top, left] + dx * plane[top, right]) +
            dy * ((1 - dx) * plane[bottom, left] + dx * plane[bottom, right]))


def reference_roi_align(features, rois, size, scale, ratio, mode, aligned):
    cells = []
    for image, x1, y1, x2, y2 in rois.tolist():
        shift = 0.5 if aligned else 0
        x1, y1, x2, y2 = (v * scale - shift for v in (x1, y1, x2, y2))
        w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        bh, bw = h / size[0], w / size[1]
        gh, gw = (ratio, ratio) if ratio > 0 else (math.ceil(bh), math.ceil(bw))
        for plane in features[int(image)]:
            for p in range(size[0]):
                for q in range(size[1]):
                    samples = [interpolate(plane, y1 + p * bh + (i + .5) * bh / gh,
                                           x1 + q * bw + (j + .5) * bw / gw)
                               for i in range(gh) for j in range(gw)]
                    samples = torch.stack(samples or [plane.new_zeros(())])
                    cells.append(samples.mean() if mode == 'avg' else samples.max())
    return torch.stack(cells).view(len(rois), features.size(1), *size)


ROIS = torch.tensor([
    [0, 1.3, 2.1, 9.7, 11.2],  # inside
    [1, -9.0, -7.0, 6.0, 5.0],  # off the top left
    [0, 10.0, 9.0, 40.0, 33.0],  # off the bottom right
    [1, 50.0, 50.0, 60.0, 60.0],  # outside
    [0, 4.0, 4.0, 4.0, 4.0],  # of size 0
    [1, 3.0, 2.0, 3.2, 20.0],  # thin
    [0, 0.0, 0.0, 24.0, 18.0],  # everything
], dtype=torch.float64)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_roi_align(mode, aligned, ratio, scale):
    random = torch.Generator().manual_seed(1)
    features = torch.rand(2, 2, 9, 12, generator=random, dtype=torch.float64) - 0.3
    features.requires_grad_()
    output = ops.roi_align(features, ROIS, (3, 2), scale, ratio, mode, aligned)
    expected = reference_roi_align(features, ROIS, (3, 2), scale, ratio, mode, aligned)
    torch.testing.assert_close(output, expected)
    grad = torch.rand(output.shape, generator=random, dtype=torch.float64)
    gradients = [torch.autograd.grad((out * grad).sum(), features)[0] for out in (output, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_roi_align_in_half(dtype, mode):
    features = torch.rand(2, 3, 9, 12).to(dtype).requires_grad_()
    rois = ROIS.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        output = ops.roi_align(features, rois, (3, 3), 1.0, 0, mode, True)
    assert output.dtype == dtype
    expected = ops.roi_align(features.detach().float(), rois.float(), (3, 3), 1.0, 0, mode, True)
    torch.testing.assert_close(output.float(), expected, atol=4e-3, rtol=1e-2)
    output.sum().backward()
    assert features.grad.dtype == dtype
    assert features.grad.isfinite().all()


@pytest.mark.parametrize('shape', [(1, 2, 1, 1), (1, 2, 1, 7)])
def test_roi_align_on_a_tiny_map(shape):
    features = torch.rand(shape, dtype=torch.float64)
    rois = ROIS[[0, 4, 6]]
    torch.testing.assert_close(ops.roi_align(features, rois, (2, 2), 1.0, 0, 'avg', True),
                               reference_roi_align(features, rois, (2, 2), 1.0, 0, 'avg', True))


def test_roi_align_of_nothing_and_of_nonsense():
    features = torch.rand(1, 2, 5, 5, requires_grad=True)
    output = ops.roi_align(features, torch.zeros(0, 5), (2, 2))
    output.sum().backward()
    assert output.shape == (0, 2, 2, 2)
    assert not features.grad.any()
    rois = torch.tensor([[0, float('nan'), 0, 3, 3], [0, 4., 4., 1., 1.]])
    assert not ops.roi_align(features, rois, (2, 2)).any()


def test_roi_align_does_not_depend_on_the_chunks(monkeypatch):
    features = torch.rand(1, 4, 30, 40)
    rois = torch.rand(50, 4).cumsum(1)[:, [0, 1, 2, 3]] * 10
    rois = torch.cat([torch.zeros(50, 1), rois], 1)
    whole = ops.roi_align(features, rois, (3, 3))
    monkeypatch.setattr(roi_align_module, 'CHUNK', 1)
    torch.testing.assert_close(ops.roi_align(features, rois, (3, 3)), whole)


ROI_ARGS = ('float spatial_scale, SymInt pooled_height, SymInt pooled_width, {}int sampling_ratio, '
            'bool aligned')
ROI_SCHEMAS = (
    f'roi_align(Tensor input, Tensor rois, {ROI_ARGS.format("")}) -> Tensor',
    '_roi_align_backward(Tensor grad, Tensor rois, '
    f'{ROI_ARGS.format("SymInt batch_size, SymInt channels, SymInt height, SymInt width, ")}) '
    '-> Tensor')


@pytest.mark.skipif(binary_loads(), reason='the operators are there')
def test_roi_align_calls_torchvision_by_its_schema(monkeypatch):
    """torchvision's schemas, with kernels that record what they are given."""
    given = []

    def forward(features, rois, *args):
        given.append((features.dtype, rois.dtype, *args))
        return features.new_ones(len(rois), features.size(1), *args[1:3])

    def backward(grad, rois, *args):
        given.append((grad.dtype, rois.dtype, *args))
        return grad.new_full(args[3:7], 2)

    library = torch.library.Library('torchvision', 'FRAGMENT')
    for schema, kernel in zip(ROI_SCHEMAS, (forward, backward), strict=True):
        library.define(schema)
        library.impl(schema.split('(')[0], kernel, 'CPU')
    monkeypatch.setattr(roi_align_module, 'has_kernel', lambda op, device: True)
    features = torch.rand(2, 3, 9, 12).half().requires_grad_()
    output = ops.roi_align(features, ROIS.half(), (4, 5), 0.5, 2, 'avg', True)
    output.sum().backward()
    assert output.eq(1).all()
    assert features.grad.eq(2).all()
    assert given == [(torch.float32, torch.float32, 0.5, 4, 5, 2, True),
                     (torch.float32, torch.float32, 0.5, 4, 5, 2, 3, 9, 12, 2, True)]
    library._destroy()


def reference_sigmoid_focal_loss(logits, target, weight, gamma, alpha):
    rows = []
    for row, t in zip(logits, target.tolist(), strict=True):
        for c, x in enumerate(row):
            p = torch.sigmoid(x)
            loss = (-alpha * (1 - p)**gamma * p.log() if c == t else
                    -(1 - alpha) * p**gamma * (1 - p).log())
            rows.append(loss * (weight[t] if weight is not None and t < len(row) else 1))
    return torch.stack(rows).view(logits.shape)


def reference_softmax_focal_loss(logits, target, weight, gamma, alpha):
    rows = []
    for row, t in zip(logits, target.tolist(), strict=True):
        p = row.softmax(0)[t]
        rows.append(-alpha * (1 - p)**gamma * p.log() * (1 if weight is None else weight[t]))
    return torch.stack(rows)


@pytest.mark.parametrize(('operator', 'reference', 'targets'), [
    (ops.sigmoid_focal_loss, reference_sigmoid_focal_loss, [0, 3, 1, 2, 3]),
    (ops.softmax_focal_loss, reference_softmax_focal_loss, [0, 2, 1, 2, 0])])
@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (1.5, 0.6)])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_focal_losses(operator, reference, targets, gamma, alpha, weighted, reduction):
    random = torch.Generator().manual_seed(2)
    logits = torch.randn(5, 3, generator=random, dtype=torch.float64).mul(3).requires_grad_()
    target = torch.tensor(targets)
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64) if weighted else None
    loss = operator(logits, target, gamma, alpha, weight, reduction)
    expected = reference(logits, target, weight, gamma, alpha).sum()
    expected = expected / (len(logits) if reduction == 'mean' else 1)
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(value, logits)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients)


def test_focal_loss_is_finite_at_large_logits():
    logits = torch.tensor([[200., -200.]])
    for target in (0, 1, 2):
        output = torch.zeros(1, 2)
        sigmoid_focal_loss_forward(
            logits, torch.tensor([target]), logits.new_empty(0), output, 2.0, 0.25)
        assert output.isfinite().all()


def make_attention(dtype=torch.float64):
    random = torch.Generator().manual_seed(3)
    shapes = torch.tensor([[4, 5], [2, 3]])
    starts = torch.tensor([0, 20])
    value = torch.randn(2, 26, 3, 4, generator=random, dtype=torch.float64)
    # Some locations lie outside of [0, 1].
    locations = torch.rand(2, 7, 3, 2, 4, 2, generator=random, dtype=torch.float64) * 1.4 - 0.2
    weights = torch.rand(2, 7, 3, 2, 4, generator=random, dtype=torch.float64)
    value, locations, weights = (t.to(dtype).requires_grad_() for t in (value, locations, weights))
    return value, shapes, starts, locations, weights


def loop_attention(value, shapes, starts, locations, weights):
    output = torch.zeros(2, 7, 3, 4, dtype=value.dtype)
    for b, q, h, level, p in np.ndindex(*weights.shape):
        height, width = shapes[level].tolist()
        x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < height and 0 <= column < width:
                    key = starts[level] + row * width + column
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    output[b, q, h] += weights[b, q, h, level, p] * share * value[b, key, h]
    return output.flatten(2)


def test_deform_attn_values():
    tensors = [t.detach() for t in make_attention()]
    torch.testing.assert_close(ms_deform_attn_forward(*tensors, im2col_step=64),
                               loop_attention(*tensors))


def test_deform_attn_gradients():
    value, shapes, starts, locations, weights = make_attention()
    inputs = [value, locations, weights]
    output = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    expected = multi_scale_deformable_attn_pytorch(value, shapes.tolist(), locations, weights)
    torch.testing.assert_close(output, expected)
    grad = torch.rand_like(output)
    for ours, theirs in zip(torch.autograd.grad(output, inputs, grad),
                            torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_deform_attn_in_half():
    value, shapes, starts, locations, weights = make_attention(torch.float16)
    output = MultiScaleDeformableAttnFunction.apply(value, shapes, starts, locations, weights, 64)
    output.sum().backward()
    assert output.dtype == value.grad.dtype == torch.float16
