"""One-stage detectors on encrypted images as ONNX files, for machines without PyTorch."""
from __future__ import annotations

import copy
import inspect
import io
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional

from mmppvit.models.checkpoints import load_whole
from mmppvit.models.detectors.keyed_order import KeyedOrderMixin
from mmppvit.models.detectors.peyolos import PEYOLOS
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.user_errors import RunError

__all__ = ['export_detector']

_OPSET = 17  # runtimes of 2022 and later read it
_MOST = 1e-3  # of the largest value; sums in another order
_KINDS = ('cls_score', 'bbox_pred', 'quality')  # what dense heads return, level by level


def export_detector(path: str | Path, model: dict, state: Mapping[str, Tensor],
                    size: tuple[int, int]) -> tuple[list[str], float]:
    """Write backbone, neck and dense head of a detector, up to what NMS or top-k get.

    Input ``image`` is an encrypted image as OpenCV reads it, uint8 (H, W, 3), BGR; the channels
    are put in the detector's order, normalized and padded within. Detectors of shuffled images
    take ``patch_order`` as well, int64 (N,), as a data sample has it. Outputs are ``cls_score_0``,
    ``bbox_pred_0``, ... of each level, (1, C, h, w), as the head's ``predict_by_feat`` takes
    them; of PEYOLOS ``logits`` (1, Q, classes + 1) and ``boxes`` (1, Q, 4), center, width and
    height as shares of the image.

    Args:
        path (str | Path): The file, which appears whole or not at all.
        model (dict): ``model`` of the config.
        state (Mapping[str, Tensor]): All weights of it.
        size (tuple): (height, width) of the encrypted image in pixels.

    Returns:
        tuple[list[str], float]: Names of the outputs, and the largest difference between ONNX
        Runtime and PyTorch on noise, as a share of the largest value.

    Raises:
        RuntimeError: onnx or onnxruntime is not installed, or the results differ; then there is
            no file.
        ValueError: It is no one-stage detector, the weights do not fit, or the size does not.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as err:
        raise RunError(f'{err.name} is not installed: pip install onnx onnxruntime') from None
    detector = MODELS.build(copy.deepcopy(dict(model)))
    if not isinstance(detector, SingleStageDetector):
        raise ValueError(f'{type(detector).__name__} is not a one-stage detector: what follows its '
                         'first stage depends on NMS, which is not exported. Export one with a '
                         'dense head (ATSS, RetinaNet, FCOS, GFL, PEYOLOS, ...)')
    load_whole(detector, state, 'the checkpoint')
    graph = _Graph(detector.eval(), size)
    content, names = _trace(graph)
    difference = _difference(content, graph)
    if not difference <= _MOST:
        raise RunError(f'ONNX Runtime and PyTorch differ by {difference:.2g} of the largest value, '
                       f'so {path} was not written: update onnxruntime')
    write_atomic(path, content)
    return names, difference


class _Graph(nn.Module):
    """From the bytes of an image to the outputs of the dense head."""

    def __init__(self, detector: SingleStageDetector, size: tuple[int, int]) -> None:
        super().__init__()
        self.detector, self.size = detector, size
        self.keyed = isinstance(detector, KeyedOrderMixin)
        stride = getattr(detector.backbone, 'token_stride', 1)
        step = math.lcm(stride, getattr(detector.data_preprocessor, 'pad_size_divisor', 1))
        self.batch = tuple(-(-side // step) * step for side in size)
        if min(size) < 1 or any(side % stride for side in size):
            raise ValueError(f'{size[0]}x{size[1]} are no whole patches of {stride} pixels: give '
                             'the size of the encrypted image')
        self.grid = tuple(side // stride for side in size)
        self.batch_grid = tuple(side // stride for side in self.batch)

    def example(self) -> tuple[Tensor, ...]:
        """Noise, and an order where one is needed."""
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(256, (*self.size, 3), dtype=torch.uint8, generator=generator)
        if not self.keyed:
            return (image, )
        return image, torch.randperm(math.prod(self.grid), generator=generator)

    def forward(self, image: Tensor, order: Tensor | None = None) -> tuple[Tensor, ...]:
        prepare = self.detector.data_preprocessor
        x = image.permute(2, 0, 1)[None].float()
        if getattr(prepare, '_channel_conversion', False):
            x = x.flip(1)
        if getattr(prepare, '_enable_normalize', False):
            x = (x - prepare.mean) / prepare.std
        pad = (0, self.batch[1] - self.size[1], 0, self.batch[0] - self.size[0])
        if any(pad):
            x = functional.pad(x, pad, value=float(getattr(prepare, 'pad_value', 0)))
        if isinstance(self.detector, PEYOLOS):
            logits, boxes = self.detector.bbox_head(self.detector.backbone(
                x, [self.size])[None])
            return logits[0], boxes[0]
        if order is not None:
            self.detector._grid = self.batch_grid
            self.detector._sources = self._sources(order)
        try:
            found = self.detector.bbox_head(self.detector.extract_feat(x))
        finally:
            if order is not None:
                self.detector._grid = self.detector._sources = None
        return tuple(level for kind in found for level in kind)

    def _sources(self, order: Tensor) -> Tensor:
        """(1, cells): where each cell's token is, as ``restore_patch_order`` has it."""
        cells = torch.arange(math.prod(self.batch_grid))
        inside = cells.view(self.batch_grid)[:self.grid[0], :self.grid[1]].flatten()
        return cells.scatter(0, inside[order], inside)[None]

    def names(self, outputs: tuple[Tensor, ...]) -> list[str]:
        if isinstance(self.detector, PEYOLOS):
            return ['logits', 'boxes']
        levels = self.detector.bbox_head.prior_generator.num_levels
        return [f'{_KINDS[i // levels]}_{i % levels}' for i in range(len(outputs))]


def _trace(graph: _Graph) -> tuple[bytes, list[str]]:
    example = graph.example()
    # By tracing, which every PyTorch so far has; the newer exporter needs onnxscript.
    has_newer = 'dynamo' in inspect.signature(torch.onnx.export).parameters
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        names = graph.names(graph(*example))
        torch.onnx.export(graph, example, file, opset_version=_OPSET,
                          input_names=['image', 'patch_order'][:len(example)], output_names=names,
                          **(dict(dynamo=False) if has_newer else {}))
    return file.getvalue(), names


def _difference(content: bytes, graph: _Graph) -> float:
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    example = [value.flip(0) for value in graph.example()]  # not what was traced
    with torch.no_grad():
        expected = [value.numpy() for value in graph(*example)]
    found = session.run(None, {item.name: value.numpy() for item, value in
                               zip(session.get_inputs(), example, strict=True)})
    return max(float(np.abs(one - other).max() / max(np.abs(other).max(), 1e-6))
               for one, other in zip(found, expected, strict=True))
