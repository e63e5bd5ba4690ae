"""Protectors as ONNX: the same images as PyTorch's, of any size."""
from __future__ import annotations

import builtins
import json

import numpy as np
import pytest
import torch

from mmppvit.models.protectors import Protector, fingerprint, onnx_export, protect_image
from mmppvit.models.protectors.onnx_export import export_onnx
from tests.protectors import tiny_protector

pytest.importorskip('onnx', reason='onnx is not installed: pip install onnx onnxruntime')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

PAIR = Protector(tiny_protector(), 'e' * 32)


def _session(path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])


def _image(*size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def test_any_size_as_opencv_has_it(tmp_path):
    assert export_onnx(tmp_path / 'p.onnx', PAIR) <= 1
    session = _session(tmp_path / 'p.onnx')
    for size in ((16, 16), (33, 50), (1, 7), (100, 64)):
        image = _image(*size)
        found, = session.run(None, dict(image=image))
        assert found.dtype == np.uint8
        difference = found.astype(int) - protect_image(PAIR.network, image)
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < .01


def test_float_for_other_graphs(tmp_path):
    assert export_onnx(tmp_path / 'p.onnx', PAIR, as_float=True) < .01
    x = torch.rand(1, 3, 37, 20)
    found, = _session(tmp_path / 'p.onnx').run(None, dict(image=x.numpy()))
    with torch.no_grad():
        np.testing.assert_allclose(found, PAIR.network.protect(x).numpy(), atol=1e-5)


def test_one_size(tmp_path):
    export_onnx(tmp_path / 'p.onnx', PAIR, (33, 50))
    session = _session(tmp_path / 'p.onnx')
    assert session.get_inputs()[0].shape == [33, 50, 3]
    found, = session.run(None, dict(image=_image(33, 50)))
    assert found.shape == (33, 50, 3)
    with pytest.raises(ValueError, match='at least 1 pixel, got 0x50'):
        export_onnx(tmp_path / 'q.onnx', PAIR, (0, 50))


@pytest.mark.parametrize('options', [dict(norm='GN', arch=(8, 16)), dict(norm=None),
                                     dict(arch=dict(channels=(4, 8, 8), downscale=2))])
def test_other_networks(tmp_path, options):
    assert export_onnx(tmp_path / 'p.onnx', Protector(tiny_protector(**options), None)) <= 1


def test_the_file_tells_where_it_comes_from(tmp_path):
    export_onnx(tmp_path / 'p.onnx', PAIR)
    told = _session(tmp_path / 'p.onnx').get_modelmeta().custom_metadata_map
    assert told['protector'] == fingerprint(PAIR.network.state_dict())
    assert told['made_for'] == 'e' * 32
    assert json.loads(told['settings']) == PAIR.network.settings


def test_nothing_is_written_if_the_results_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, '_difference', lambda *_: 3.)
    with pytest.raises(RuntimeError, match=r'differ by 3\.0 levels'):
        export_onnx(tmp_path / 'p.onnx', PAIR)
    assert not list(tmp_path.iterdir())


def test_the_difference_is_seen(tmp_path):
    """Weights that change after the export."""
    network = tiny_protector()
    graph = onnx_export._Levels(network).eval()
    content = onnx_export._trace(graph, None)
    assert onnx_export._difference(content, graph, (20, 20)) <= 1
    with torch.no_grad():
        network.head.bias.add_(1)
    assert onnx_export._difference(content, graph, (20, 20)) > 10


def test_nothing_is_said(tmp_path, capfd, recwarn):
    export_onnx(tmp_path / 'p.onnx', PAIR)
    assert capfd.readouterr() == ('', '')
    assert not [warning for warning in recwarn if 'onnx' in str(warning.message).lower()]


def test_without_onnx(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == 'onnxruntime':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(RuntimeError, match='onnxruntime is not installed: pip install onnx onnx'):
        export_onnx(tmp_path / 'p.onnx', PAIR)
