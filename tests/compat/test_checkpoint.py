"""Checkpoints written by real runners load under weights_only=True and resume."""
import os
from collections import Counter, OrderedDict, deque
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmppvit.compat.atomic_backend import AtomicLocalBackend
from mmppvit.compat.checkpoint_hook import PlainCheckpointHook
from mmppvit.compat.plain_state import make_plain, restore
from mmppvit.compat.stock_checkpoint import load_mmengine_checkpoint, rewrite_checkpoint


class Numbers(Dataset):
    metainfo = dict(classes=('one', 'two'), palette=[(1, 2, 3)])

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index)]))


class Line(BaseModel):

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.layer(torch.stack(inputs)).square().mean())


def make_runner(folder, name, scope='mmdet', resume=False, epochs=1, schedulers=()):
    return Runner(
        model=Line(), work_dir=str(folder), experiment_name=name, default_scope=scope,
        train_dataloader=dict(
            dataset=Numbers(), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=2),
            dict(type='MultiStepLR', milestones=[1, 2], by_epoch=True),
            dict(type='CosineAnnealingLR', T_max=4, by_epoch=True), *schedulers],
        custom_hooks=[dict(type='EMAHook')],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1),
                           checkpoint=dict(type='CheckpointHook', interval=1)),
        resume=resume, log_level='ERROR')


# Its state holds a bound method.
ONE_CYCLE = (dict(type='OneCycleLR', eta_max=0.1, total_steps=9, by_epoch=False), )


def history(runner):
    return {k: [a.tolist() for a in v.data] for k, v in runner.message_hub.log_scalars.items()}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A runner that has trained for two iterations and saved epoch_1.pth."""
    folder = tmp_path_factory.mktemp('plain')
    runner = make_runner(folder, 'first', schedulers=ONE_CYCLE)
    runner.message_hub.update_info('best_score', np.float64(0.5))
    runner.message_hub.update_info('curve', np.arange(3, dtype=np.int16))
    runner.train()
    return runner, folder


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
    """A checkpoint of mmengine's own hook."""
    folder = tmp_path_factory.mktemp('stock')
    runner = make_runner(folder, 'stock', scope='mmengine')
    runner.train()
    return runner, folder / 'epoch_1.pth'


def test_our_hook_is_the_one_that_is_built(trained):
    hook = next(h for h in trained[0].hooks if isinstance(h, CheckpointHook))
    assert type(hook) is PlainCheckpointHook
    assert hook.backend_args == dict(backend='atomic_local')


def test_a_checkpoint_loads_without_pickle(trained):
    checkpoint = torch.load(trained[1] / 'epoch_1.pth', weights_only=True)
    assert set(checkpoint) == {
        'meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers', 'ema_state_dict'}
    assert checkpoint['message_hub']['runtime_info']['best_score'] == 0.5


def resume(runner):
    """Train on, and return the history and iteration with which training started."""
    seen = []

    class Recorder(Hook):

        def before_train(self, runner):
            seen.extend([history(runner), runner.iter, runner.message_hub.get_info('curve')])

    runner.register_hook(Recorder())
    runner.train()
    return seen


def test_resuming_continues_the_same_history(trained):
    before, folder = trained
    expected = history(before)
    after = make_runner(folder, 'second', resume=True, epochs=2, schedulers=ONE_CYCLE)
    found, iteration, curve = resume(after)
    assert found == expected != {}
    assert iteration == 2
    assert after.iter == 4
    assert curve.dtype == np.int16
    assert curve.tolist() == [0, 1, 2]
    assert len(history(after)['train/loss'][0]) == 4


def test_schedulers_keep_their_milestones(trained):
    state = torch.load(trained[1] / 'epoch_1.pth', weights_only=True)['param_schedulers']
    assert type(state[1]['milestones']) is Counter
    assert state[1]['milestones'] == Counter([1, 2])


def test_nothing_but_whole_checkpoints_is_left_behind(trained):
    assert not list(trained[1].glob('.*.tmp'))


def test_the_stock_checkpoint_does_not_load(stock):
    with pytest.raises(Exception, match=r'[Ww]eights'):
        torch.load(stock[1], weights_only=True)


def test_a_stock_checkpoint_is_read_without_pickle_and_resumes(stock, tmp_path):
    rewrite_checkpoint(str(stock[1]), str(tmp_path / 'epoch_1.pth'))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    runner = make_runner(tmp_path, 'rewritten', resume=True, epochs=2)
    assert resume(runner)[0] == history(stock[0]) != {}


class Payload:

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(('call', 'name'), [
    ((eval, ('1 + 1', )), 'eval'),
    ((print, ('not safe', )), 'print'),
    ((os.getpid, ()), 'getpid'),
    ((np.dtype, ('O', )), "dtype 'O'"),
])
def test_other_objects_are_refused(tmp_path, call, name):
    torch.save(dict(message_hub=Payload(call)), tmp_path / 'x.pth')
    with pytest.raises(RuntimeError, match=f'not safe to load: .*{name}.*save it again') as caught:
        load_mmengine_checkpoint(str(tmp_path / 'x.pth'))
    # PyTorch's advice: to allow what the file names, or anything.
    assert 'safe_globals' not in str(caught.value)
    assert 'weights_only' not in str(caught.value)


def test_getattr_in_a_checkpoint_gets_nothing(tmp_path):
    torch.save(dict(x=Payload((getattr, (dict, 'fromkeys')))), tmp_path / 'x.pth')
    assert load_mmengine_checkpoint(str(tmp_path / 'x.pth')) == dict(x='fromkeys')


@pytest.mark.parametrize(('value', 'plain'), [
    (1, 1),
    (np.float64(0.5), 0.5),
    (np.int32(3), 3),
    (np.bool_(True), True),
    ((1, [2.0, None], 'x'), (1, [2.0, None], 'x')),
    (OrderedDict(a=1), OrderedDict(a=1)),
    (Counter([1, 1]), Counter([1, 1])),
])
def test_plain_values(value, plain):
    assert make_plain(value) == plain
    assert type(make_plain(value)) is type(plain)
    assert restore(make_plain(value)) == plain


@pytest.mark.parametrize('array', [
    np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4)), np.array(3.0),
    np.array(['a', 'bc']), np.arange(3, dtype=np.uint32), np.arange(4)[::2],
    np.arange(3, dtype='>f4'), np.array([1, 'x', None], dtype=object)])
def test_arrays_come_back(array, tmp_path):
    torch.save(make_plain(array), tmp_path / 'x.pth')
    back = restore(torch.load(tmp_path / 'x.pth', weights_only=True))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert np.array_equal(back, array)


@pytest.mark.parametrize('value', [deque([1, 2], 3), {1, 2}, frozenset('ab')])
def test_collections_come_back(value, tmp_path):
    torch.save(make_plain(value), tmp_path / 'x.pth')
    back = restore(torch.load(tmp_path / 'x.pth', weights_only=True))
    assert back == value
    assert type(back) is type(value)


def test_history_buffers_come_back():
    buffer = HistoryBuffer([1, 2, 4], [1, 1, 2], max_length=5)
    back = restore(make_plain(dict(x=buffer)))['x']
    assert [a.tolist() for a in back.data] == [[1, 2, 4], [1, 1, 2]]
    assert back.max_length == 5
    assert back.statistics('current') == 4


def test_what_cannot_be_kept_is_named():
    omitted = []
    assert make_plain(dict(a=1, b=[len, 2]), omitted, 'meta') == dict(a=1, b=[2])
    assert omitted == ['meta.b[0] (builtin_function_or_method)']


def test_tensors_are_not_copied():
    tensor = torch.zeros(2)
    assert make_plain([tensor])[0] is tensor


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kind 'Future'"):
        restore({'__plain__': 'Future'})


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.pth'
    AtomicLocalBackend().put(b'old', path)
    with pytest.raises(TypeError):
        AtomicLocalBackend().put('not bytes', path)
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_tool_rewrites_a_stock_checkpoint(run_python, stock, tmp_path):
    tool = Path(__file__).resolve().parents[2] / 'tools/rewrite_checkpoint.py'
    target = tmp_path / 'plain.pth'
    for code in (0, 2):  # the second time the target exists, and stays
        done = run_python(tool, stock[1], target)
        assert done.returncode == code, done.stderr
    assert 'state_dict' in torch.load(target, weights_only=True)
