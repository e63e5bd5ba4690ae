"""tools/convert_checkpoint.py, as a user runs it."""
from __future__ import annotations

import pickle

import mmppvit.register  # noqa: F401

# isort: split
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from mmppvit.models import PEViT
from mmppvit.models.checkpoints import load_pretrained, read_state_dict
from tests.models.released_yolos import ReleasedYOLOS


@pytest.fixture
def vit(tmp_path):
    """A DeiT-like checkpoint as DeiT saves it: 48 channels, 2 blocks."""
    path = tmp_path / 'vit.pth'
    model = VisionTransformer(img_size=32, embed_dim=48, depth=2, num_heads=3, num_classes=5)
    torch.save(dict(model=model.state_dict()), path)
    return path


@pytest.fixture
def yolos(tmp_path):
    path = tmp_path / 'yolos.pth'
    torch.save(dict(model=ReleasedYOLOS(classes=91).state_dict()), path)
    return path


PEVIT = ['--source', 'deit', '--target', 'pevit']
PEYOLOS = ['--source', 'yolos', '--target', 'peyolos', '--init-size', 64, 96]


def _fails(run_tool, capsys, *args) -> str:
    with pytest.raises(SystemExit) as info:
        run_tool('convert_checkpoint.py', *args)
    assert info.value.code == 2
    err = capsys.readouterr().err
    assert 'Traceback' not in err
    return err


@pytest.mark.parametrize('name', ['out.safetensors', 'new/out.pth'])
def test_a_pevit(run_tool, vit, tmp_path, capsys, monkeypatch, name):
    monkeypatch.setenv('COLUMNS', '200')
    run_tool('convert_checkpoint.py', vit, tmp_path / name, *PEVIT)
    out = capsys.readouterr().out
    for text in ('copied', 'adapted', 'dropped', 'left at init', 'PEViT knows no positions',
                 'summed over 2x2 sub-kernels', "backbone=dict(type='PEViT'", 'grid=2',
                 'add num_heads'):
        assert text in ' '.join(out.split())
    model = PEViT(dict(embed_dims=48, num_layers=2, num_heads=3))
    assert load_pretrained(model, str(tmp_path / name)).complete


def test_kernels_of_other_patch_sizes(run_tool, vit, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    kernels = {}
    for kernel in ('pinv', 'bicubic'):
        out = tmp_path / f'{kernel}.safetensors'
        run_tool('convert_checkpoint.py', vit, out, *PEVIT, '--patch-size', 20, '--kernel', kernel)
        assert f'to (20, 20) by {kernel}' in ' '.join(capsys.readouterr().out.split())
        kernels[kernel] = read_state_dict(out)['patch_embed.proj.weight']
    assert kernels['pinv'].shape == (48, 3, 10, 10)
    assert not torch.allclose(kernels['pinv'], kernels['bicubic'], atol=1e-3)


def test_a_peyolos(run_tool, yolos, tmp_path, capsys):
    run_tool('convert_checkpoint.py', yolos, tmp_path / 'out.pth', *PEYOLOS, '--table-size', 32,
             32, '--nonlinear-embed', '--embed-dims', 24, '--num-layers', 3, '--num-heads', 2)
    state = read_state_dict(tmp_path / 'out.pth')
    assert state['backbone.pos_embed'].shape == (1, 1 + 4 + 7, 24)
    assert state['bbox_head.class_embed.layers.2.bias'].shape == (81, )
    out = capsys.readouterr().out
    assert 'table_size=(32, 32)' in out
    assert 'bbox_head=dict(' in out
    assert 'num_classes=80' in out


def test_of_another_layout(run_tool, yolos, vit, tmp_path, capsys):
    err = _fails(run_tool, capsys, yolos, tmp_path / 'out.pth', *PEVIT)
    assert err == 'error: this looks like a yolos checkpoint, use --source yolos\n'
    err = _fails(run_tool, capsys, vit, tmp_path / 'out.pth', *PEYOLOS)
    assert err == 'error: this looks like a timm checkpoint, use --source timm\n'
    assert not (tmp_path / 'out.pth').exists()


def test_a_part_must_be_asked_for(run_tool, vit, tmp_path, capsys):
    state = torch.load(vit, weights_only=True)['model']
    del state['blocks.1.attn.proj.bias']
    torch.save(state, vit)
    out = tmp_path / 'out.pth'
    err = _fails(run_tool, capsys, vit, out, *PEVIT)
    assert '1 tensors missing, 0 unexpected' in err
    assert "['blocks.1.attn.proj.bias']" in err
    assert '--allow-partial' in err
    assert not out.exists()
    run_tool('convert_checkpoint.py', vit, out, *PEVIT, '--allow-partial')
    assert 'blocks.1.attn.proj.bias' not in read_state_dict(out)
    assert 'missing' in capsys.readouterr().out


def test_files_are_replaced_by_force_only(run_tool, vit, tmp_path, capsys):
    out = tmp_path / 'out.pth'
    out.write_text('mine')
    assert 'out.pth exists; choose another name, or --force' in _fails(
        run_tool, capsys, vit, out, *PEVIT)
    assert out.read_text() == 'mine'
    run_tool('convert_checkpoint.py', vit, out, *PEVIT, '--force')
    assert read_state_dict(out)
    assert 'SRC and DST are the same file' in _fails(
        run_tool, capsys, vit, vit, *PEVIT, '--force')


def test_a_write_that_fails_leaves_what_was_there(run_tool, vit, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out.pth'
    out.write_text('mine')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    assert 'No space left' in _fails(run_tool, capsys, vit, out, *PEVIT, '--force')
    assert out.read_text() == 'mine'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out.pth', 'vit.pth']


_EXECUTED: list[bool] = []


class _Bomb:

    def __reduce__(self):
        return _EXECUTED.append, (True, )


def test_other_files(run_tool, vit, tmp_path, capsys):
    out = tmp_path / 'out.pth'
    assert 'error: no checkpoint ' in _fails(run_tool, capsys, tmp_path / 'no.pth', out, *PEVIT)
    (tmp_path / 'pickle.pth').write_bytes(pickle.dumps(dict(a=_Bomb())))
    assert 'cannot be read as weights only' in _fails(
        run_tool, capsys, tmp_path / 'pickle.pth', out, *PEVIT)
    assert not _EXECUTED
    assert 'out.bin has to end in .safetensors or .pth' in _fails(
        run_tool, capsys, vit, tmp_path / 'out.bin', *PEVIT)
    assert not out.exists()


@pytest.mark.parametrize(('options', 'message'), [
    (['--arch', 'huge'], "arch 'huge' is unknown"),
    (['--arch', 'tiny'], 'does not make a whole pevit'),
    (['--arch', 'tiny', '--num-heads', 3], '--arch says all'),
    (['--num-heads', 3], 'go together'),
    (['--grid', 3], 'grid 3 does not divide the patch size 16'),
])
def test_other_options(run_tool, vit, tmp_path, capsys, options, message):
    assert message in _fails(run_tool, capsys, vit, tmp_path / 'out.pth', *PEVIT, *options)
