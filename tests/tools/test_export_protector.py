"""``tools/export_protector.py`` as a user runs it."""
from __future__ import annotations

import numpy as np
import pytest

from mmppvit.models.protectors import load_protector, protect_image
from tests.protectors import write_protector

pytest.importorskip('onnx', reason='onnx is not installed: pip install onnx onnxruntime')
onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')


@pytest.fixture
def protector(tmp_path):
    return write_protector(tmp_path / 'protector.safetensors')


def test_export_and_run(run_tool, protector, tmp_path, capfd):
    out = tmp_path / 'sub/protector.onnx'
    run_tool('export_protector.py', protector, out)
    assert f'{out}: any size; differs from PyTorch by' in capfd.readouterr().out
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    found, = onnxruntime.InferenceSession(str(out)).run(None, dict(image=image))
    expected = protect_image(load_protector(protector).network, image)
    assert np.abs(found.astype(int) - expected).max() <= 1
    run_tool('export_protector.py', protector, out, '--height', 24, '--width', 32, '--float')
    assert '24x32; differs' in capfd.readouterr().out


@pytest.mark.parametrize(('arguments', 'message'), [
    (['{protector}', '{folder}/p.onnx', '--height', 3], 'give both --height and --width'),
    (['{protector}', '{folder}/p.pt'], 'has to end in .onnx'),
    (['{folder}/none.pth', '{folder}/p.onnx'], 'no protector'),
])
def test_errors(run_tool, protector, tmp_path, capfd, arguments, message):
    arguments = [str(argument).format(protector=protector, folder=tmp_path)
                 for argument in arguments]
    with pytest.raises(SystemExit) as ended:
        run_tool('export_protector.py', *arguments)
    assert ended.value.code == 2
    assert message in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['protector.safetensors']
