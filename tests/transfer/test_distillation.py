"""The adaptation: what its loss is, what it changes, that it goes on as if never interrupted."""
from __future__ import annotations

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mmppvit.encryption import unshuffle_patches
from mmppvit.encryption.shuffling import shuffle_patches
from mmppvit.models import PEViT
from mmppvit.models.checkpoints import read_state_dict, write_state_dict
from mmppvit.transfer.distill_run import DistillJob, distill
from mmppvit.transfer.distillation import (
    Distiller,
    teacher_tokens,
    token_loss,
    trainable_names,
)
from mmppvit.transfer.unlabeled_views import draw_views, find_images
from mmppvit.transfer.vit_features import IMAGENET, build_backbone, tokens_of
from tests.models.other_device import OTHER, other_device
from tests.transfer.toys import toy_state, write_photographs

NO_POSITIONS = dict(class_token=False, global_pool='avg', fc_norm=False)


@pytest.fixture(scope='module')
def photographs(tmp_path_factory):
    return write_photographs(tmp_path_factory.mktemp('toys'))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp('teacher') / 'vit.safetensors'
    write_state_dict(path, toy_state())
    return path


def _job(photographs, teacher, tmp_path, **options) -> DistillJob:
    options = dict(patch_size=8, cells=4, views=2, epochs=2, batch=4, num_heads=3) | options
    return DistillJob(teacher, photographs[1], tmp_path / 'out.safetensors', **options)


def _views(photographs) -> np.ndarray:
    return draw_views(find_images(photographs[1]), 2, 32).images


def test_a_student_that_is_its_teacher_has_no_loss(photographs):
    state, views = toy_state(**NO_POSITIONS), _views(photographs)
    state['pos_embed'].zero_()
    teacher = build_backbone(state, 8, positions='kept', num_heads=3)
    student = build_backbone(state, 8, num_heads=3)
    targets = teacher_tokens(teacher, views, IMAGENET)
    held = Distiller(student).evaluate(views, IMAGENET, targets)
    assert held < 1e-7  # the targets are stored in half precision
    with torch.no_grad():
        same = token_loss(tokens_of(student, IMAGENET.apply(views)),
                          teacher(IMAGENET.apply(views)))
    assert same < 1e-12


@pytest.mark.parametrize('kind', ['smooth-l1', 'cosine'])
def test_the_loss_is_of_tokens_without_their_scale(kind):
    a, b = torch.randn(2, 3, 5, 24, generator=torch.Generator().manual_seed(0))
    loss = token_loss(a, b, kind)
    torch.testing.assert_close(token_loss(3 * a + 1, b / 7 - 2, kind), loss, rtol=1e-3, atol=1e-5)
    assert token_loss(b, b, kind) < 1e-6 < loss
    normal = [(x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True)
                                                + 1e-5).sqrt() for x in (a, b)]
    expected = functional.smooth_l1_loss(*normal) if kind == 'smooth-l1' else \
        (1 - (normal[0] * normal[1]).sum(-1) / (normal[0].norm(dim=-1)
                                                * normal[1].norm(dim=-1))).mean()
    torch.testing.assert_close(loss, expected)


def test_shuffled_and_put_back_the_loss_is_the_same(photographs):
    """Why patches in order are enough to learn from."""
    views = _views(photographs)[:1]
    student = build_backbone(toy_state(), 8, num_heads=3)
    order = np.random.default_rng(0).permutation(16)
    shuffled = shuffle_patches(views[0], 8, order)
    np.testing.assert_array_equal(unshuffle_patches(shuffled, 8, order), views[0])
    with torch.no_grad():
        tokens = tokens_of(student, IMAGENET.apply(shuffled[None]))
        back = torch.empty_like(tokens)
        back[:, order] = tokens
        torch.testing.assert_close(back, tokens_of(student, IMAGENET.apply(views)), rtol=1e-4,
                                   atol=1e-5)


@pytest.mark.parametrize(('which', 'parts'), [
    ('embed', {'patch_embed', 'reference_encoding'}),
    ('first:0', {'patch_embed', 'reference_encoding'}),
    ('first:1', {'patch_embed', 'reference_encoding', 'blocks.0'}),
    ('all', {'patch_embed', 'reference_encoding', 'blocks.0', 'blocks.1', 'norm'})])
def test_what_is_named_changes_and_nothing_else(photographs, which, parts):
    student = build_backbone(toy_state(), 8, num_heads=3, reference_encoding=True)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    views = _views(photographs)
    targets = teacher_tokens(build_backbone(toy_state(), 8, positions='kept', num_heads=3), views,
                             IMAGENET)
    Distiller(student, which, epochs=1, batch=4).run_epoch(views, IMAGENET, targets)
    changed = {name for name, value in student.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == set(trainable_names(student, which))
    assert {'.'.join(name.split('.')[:2 if name.startswith('blocks') else 1])
            for name in changed} == parts


@pytest.mark.parametrize('which', ['none', 'first', 'first:', 'first:3', 'first:-1'])
def test_unknown_parts(which):
    with pytest.raises(ValueError, match='choose embed, all, or first:K with K of the 2 blocks'):
        trainable_names(build_backbone(toy_state(), 8, num_heads=3), which)


@pytest.fixture(scope='module')
def adapted(photographs, teacher, tmp_path_factory):
    """An uninterrupted run: its job and its result."""
    job = _job(photographs, teacher, tmp_path_factory.mktemp('whole'), lr=3e-3, epochs=4)
    return job, distill(job)


def test_the_student_comes_closer(adapted):
    job, result = adapted
    assert len(result.losses) == 1 + job.epochs
    assert result.losses[-1] < .9 * result.losses[0]
    assert not job.checkpoint.exists()


def test_the_file_is_a_backbone_of_a_detector(adapted):
    job, result = adapted
    config = dict(result.config['backbone'])
    assert config.pop('type') == 'PEViT'
    model = PEViT(**config)
    model.init_weights()
    state = read_state_dict(job.out)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert config['grid'] == 2
    assert config['class_token']
    assert result.config['data_preprocessor']['mean'] == [123.675, 116.28, 103.53]


class _InterruptedError(Exception):
    pass


def _run_in_parts(job: DistillJob, stop: int) -> dict[str, Tensor]:
    def show(epoch, held_out, train):
        if epoch == stop:
            raise _InterruptedError

    with pytest.raises(_InterruptedError):
        distill(job, show=show)
    assert not job.out.exists()
    with pytest.raises(FileExistsError, match='--resume goes on with it'):
        distill(job)
    distill(job, resume=True)
    return read_state_dict(job.out)


@pytest.mark.parametrize('stop', [1, 3])
def test_a_resumed_run_ends_as_if_never_interrupted(adapted, photographs, teacher, tmp_path, stop):
    whole = read_state_dict(adapted[0].out)
    parts = _run_in_parts(_job(photographs, teacher, tmp_path, lr=3e-3, epochs=4), stop)
    assert parts.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(parts[name], value), name


def test_files_in_the_way_and_other_options(photographs, teacher, tmp_path):
    job = _job(photographs, teacher, tmp_path)
    job.out.write_bytes(b'')
    with pytest.raises(FileExistsError, match='--force'):
        distill(job)
    job.out.unlink()

    def show(epoch, held_out, train):
        if epoch == 1:
            raise _InterruptedError

    with pytest.raises(_InterruptedError):
        distill(job, show=show)
    with pytest.raises(ValueError, match='is of a run with epochs 2: give the same, or --force'):
        distill(_job(photographs, teacher, tmp_path, epochs=3), resume=True)
    job.checkpoint.write_bytes(b'rubbish')
    with pytest.raises(ValueError, match=r'cannot be read .*: remove it'):
        distill(job, resume=True)
    with pytest.raises(ValueError, match=r'has to end in .safetensors or .pth'):
        DistillJob(teacher, photographs[1], tmp_path / 'out.onnx')
    for lr in (0., -1e-3, float('nan'), float('inf')):
        with pytest.raises(ValueError, match=r'--lr .* is not a number above 0'):
            DistillJob(teacher, photographs[1], tmp_path / 'out.pth', lr=lr)
    with pytest.raises(FileNotFoundError, match='no folder'):
        find_images(tmp_path / 'none')


def test_views_are_squares_of_the_images(photographs):
    ann, folder = photographs
    paths = find_images(folder, ann)
    assert paths == find_images(folder)
    first, again = (draw_views(paths, 3, 32, .5) for _ in range(2))
    assert first.images.shape == (24, 32, 32, 3)
    assert first.groups.tolist() == [i // 3 for i in range(24)]
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, draw_views(paths, 3, 32, .5, seed=1).images)


def test_the_command(photographs, teacher, tmp_path, run_tool_main, capsys):
    args = ['distill', '--teacher', teacher, '--images', photographs[1], '--ann', photographs[0],
            '--patch-size', 8, '--cells', 4, '--views', 1, '--epochs', 1, '--num-heads', 3,
            '--out', tmp_path / 'out.pth']
    assert run_tool_main(*args, '--scheme', 'mix+center,grid=4', '--trainable', 'first:1',
                         '--loss', 'cosine', '--statistics', 'measured') == 0
    out = capsys.readouterr().out
    assert 'epoch 1: loss on held-out views 0.' in out
    assert "backbone=dict(type='PEViT', arch={" in out
    assert 'data_preprocessor=dict(mean=[12' in out
    assert run_tool_main(*args) == 2
    assert 'exists; choose another name, or --force' in capsys.readouterr().err
    assert run_tool_main(*args, '--force', '--scheme', 'mixed') == 2
    assert "no scheme 'mixed'" in capsys.readouterr().err


@pytest.mark.skipif(tuple(map(int, torch.__version__.split('.')[:2])) < (2, 13),
                    reason='what the second device takes from PyTorch is of 2.13')
def test_on_another_device_it_is_the_same(photographs):
    views, found = _views(photographs), []
    for device in (torch.device('cpu'), OTHER):
        with other_device():
            teacher = build_backbone(toy_state(), 8, positions='kept', num_heads=3).to(device)
            targets = teacher_tokens(teacher, views, IMAGENET)
            assert targets.device.type == 'cpu'  # those of a large set would fill a GPU
            distiller = Distiller(build_backbone(
                toy_state(), 8, num_heads=3).to(device), epochs=1, batch=4)
            trained = distiller.run_epoch(views, IMAGENET, targets)
            found.append((trained, distiller.evaluate(views, IMAGENET, targets)))
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize('device', ['gpu', 'cuda:99', 'CUDA', 'cuda:', 'hpu', 'meta', ''])
def test_a_device_that_is_not_there(photographs, teacher, tmp_path, device):
    with pytest.raises(ValueError, match=f'--device {device} is not here, choose cpu: .+$'):
        _job(photographs, teacher, tmp_path, device=device)
