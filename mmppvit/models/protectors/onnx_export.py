"""Protectors as ONNX files, for machines without PyTorch."""
from __future__ import annotations

import inspect
import io
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mmppvit.models.protectors import ProtectionUNet, Protector, fingerprint
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.user_errors import RunError

__all__ = ['export_onnx']

_OPSET = 17  # runtimes of 2022 and later read it
# Of the comparison where any size goes: whole strides, none, and less than one.
_SIZES = ((64, 48), (75, 101), (9, 35))
_MOST = 1.  # levels; sums in another order round another way


def export_onnx(path: str | Path, protector: Protector, size: tuple[int, int] | None = None,
                as_float: bool = False) -> float:
    """Write a protector as ONNX, after a comparison of what ONNX Runtime and PyTorch make of noise.

    Input ``image`` and output ``protected`` are alike: one image as OpenCV has it, uint8
    (H, W, 3), BGR; or, for use within other graphs, float32 (1, 3, H, W), RGB of range 0 to 1, and
    then nothing is rounded. The file's metadata has ``protector`` and ``made_for``, fingerprints of
    the weights and of the model they were trained for, and ``settings``.

    Args:
        path (str | Path): The file, which appears whole or not at all.
        protector (Protector): As :func:`mmppvit.models.protectors.load_protector` has it.
        size (tuple, optional): (height, width) in pixels, fixed; any size if None.
        as_float (bool): The second kind of input and output.

    Returns:
        float: The largest difference between both, in levels of 255.

    Raises:
        RuntimeError: onnx or onnxruntime is not installed, or the results differ by more than a
            level; then there is no file.
        ValueError: A side is not positive.
    """
    if size is not None and min(size) < 1:
        raise ValueError(f'sides must be at least 1 pixel, got {size[0]}x{size[1]}')
    _check_installed()
    graph = (_Unrounded if as_float else _Levels)(protector.network).eval()
    content = _with_metadata(_trace(graph, size), protector)
    difference = max(_difference(content, graph, one) for one in ([size] if size else _SIZES))
    if difference > _MOST:
        raise RunError(f'ONNX Runtime and PyTorch differ by {difference:.1f} levels on this '
                       f'protector, so {path} was not written: update onnxruntime')
    write_atomic(path, content)
    return difference


class _Levels(nn.Module):
    """uint8 (H, W, 3), BGR, to the same."""
    axes = (0, 1)

    def __init__(self, network: ProtectionUNet) -> None:
        super().__init__()
        self.network = network

    def example(self, height: int, width: int) -> Tensor:
        return torch.randint(256, (height, width, 3), dtype=torch.uint8)

    def forward(self, image: Tensor) -> Tensor:
        rgb = image.permute(2, 0, 1).flip(0)[None].float() / 255
        levels = (self.network.protect(rgb) * 255).round().to(torch.uint8)
        return levels[0].flip(0).permute(1, 2, 0)


class _Unrounded(_Levels):
    """float32 (1, 3, H, W), RGB of range 0 to 1, to the same."""
    axes = (2, 3)

    def example(self, height: int, width: int) -> Tensor:
        return torch.rand(1, 3, height, width)

    def forward(self, image: Tensor) -> Tensor:
        return self.network.protect(image)


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as err:
        raise RunError(f'{err.name} is not installed: pip install onnx onnxruntime') from None


def _trace(graph: _Levels, size: tuple[int, int] | None) -> bytes:
    names = dict(zip(graph.axes, ('height', 'width'), strict=True))
    # By tracing, which every PyTorch so far has; the newer exporter needs onnxscript.
    has_newer = 'dynamo' in inspect.signature(torch.onnx.export).parameters
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            graph, (graph.example(*(size or _SIZES[0])), ), file, opset_version=_OPSET,
            input_names=['image'], output_names=['protected'],
            dynamic_axes=None if size else dict(image=names, protected=names),
            **(dict(dynamo=False) if has_newer else {}))
    return file.getvalue()


def _with_metadata(content: bytes, protector: Protector) -> bytes:
    import onnx
    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, dict(
        protector=fingerprint(protector.network.state_dict()), made_for=protector.made_for or '',
        settings=json.dumps(protector.network.settings)))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _difference(content: bytes, graph: _Levels, size: tuple[int, int]) -> float:
    """The largest difference between ONNX Runtime and PyTorch on noise, in levels."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    image = graph.example(*size)
    found, = session.run(None, dict(image=image.numpy()))
    with torch.no_grad():
        wanted = graph(image).numpy()
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise RunError(f'ONNX Runtime gives {found.dtype} of {found.shape}, PyTorch '
                       f'{wanted.dtype} of {wanted.shape}: update onnxruntime')
    scale = 1. if wanted.dtype == np.uint8 else 255.
    return scale * float(np.abs(found.astype(np.float64) - wanted).max())
