"""The host's side without a network: order, repetition, hostile requests, kills, full disks."""
from __future__ import annotations

import errno
import random
import re
import struct
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.host_session import HostSession
from mmppvit.two_party.messages import decode, encode
from mmppvit.two_party.request_journal import RequestJournal

SESSION, RUN = 'a' * 32, 'b' * 32
BACKBONE = dict(arch=dict(embed_dims=8, num_layers=2, num_heads=2), patch_size=16, grid=2)
SIDE = 8


def _spec(**kwargs) -> dict:
    names = [name for name, _ in PEViT(**BACKBONE).named_parameters()]
    optimizer = dict(type='AdamW', groups=[dict(names=names, options=dict(lr=.01))])
    return dict(dict(backbone=BACKBONE, mean=[1, 2, 3], std=[4, 5, 6.], optimizer=optimizer,
                     seed=0), **kwargs)


class Owner:
    """Makes the requests of a training; repeats them as it is told."""

    def __init__(self, session: HostSession) -> None:
        self.host, self.seq = session, -1
        self.random = torch.Generator().manual_seed(0)

    def request(self, method: str, tensors=None, **header) -> bytes:
        return encode(dict(header, method=method, session=SESSION, seq=self.seq + 1), tensors)

    def call(self, method: str, tensors=None, **header):
        answer, found = decode(self.host.handle(self.request(method, tensors, **header)))
        assert 'error' not in answer, answer
        self.seq += 1
        return answer, found

    def open(self) -> None:
        torch.manual_seed(0)
        self.call('open', spec=_spec(), run=RUN)
        self.call('weights', PEViT(**BACKBONE).state_dict())

    def patches(self, *counts: int) -> dict:
        return dict(patches=torch.randint(0, 256, (sum(counts), 3, SIDE, SIDE),
                                          dtype=torch.uint8, generator=self.random))

    def step(self, call=None) -> None:
        call = call or self.call
        call('forward', self.patches(5, 3, 5), patches=[5, 3, 5], train=True, average=False,
             wire='float32')
        grads = torch.randn(13, 8, generator=self.random)
        call('backward', {'0': grads}, forward=self.seq, wire='float32')
        call('step', options=[dict(lr=.01)], factor=.5)


def weights(session: HostSession) -> dict:
    return {k: v.clone() for k, v in session.half.state().items()}


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def owner(tmp_path):
    owner = Owner(HostSession(tmp_path / 'work'))
    owner.open()
    return owner


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """State after five steps."""
    owner = Owner(HostSession(tmp_path_factory.mktemp('undisturbed')))
    owner.open()
    for _ in range(5):
        owner.step()
    owner.call('average', momentum=1)
    return weights(owner.host)


def test_a_step_trains(owner):
    before = weights(owner.host)
    owner.step()
    after = weights(owner.host)
    assert not torch.equal(before['model.norm.bias'], after['model.norm.bias'])
    assert owner.host.half.idle


def test_a_repeated_request_has_no_second_effect(owner):
    def twice(method, tensors=None, **header):
        request = owner.request(method, tensors, **header)
        one, other = owner.host.handle(request), owner.host.handle(request)
        assert one == other
        assert 'error' not in decode(one)[0]
        owner.seq += 1

    for _ in range(5):
        owner.step(twice)
    owner.call('average', momentum=1)
    reference = Owner(HostSession(owner.host.work_dir / 'other'))
    reference.open()
    for _ in range(5):
        reference.step()
    reference.call('average', momentum=1)
    assert_same(weights(owner.host), weights(reference.host))


def test_tokens_do_not_depend_on_companions_or_their_number(owner):
    patches = owner.patches(5, 3)['patches']

    def tokens(part, counts):
        return owner.call('forward', dict(patches=part), patches=counts, train=False,
                          average=False, wire='float32')[1]['0']

    both = tokens(patches, [5, 3])
    owner.seq -= 1  # evaluation is not numbered
    alone = tokens(patches[5:], [3])
    torch.testing.assert_close(both[5:], alone)


@pytest.mark.parametrize('seed', range(12))
def test_killed_hosts_go_on_with_the_same_weights(tmp_path, undisturbed, seed):
    """At random requests the process is gone, before or after it answered."""
    rng = random.Random(seed)
    folder = tmp_path / 'work'
    owner = Owner(HostSession(folder, snapshot_every=2))
    owner.open()

    def call(method, tensors=None, **header):
        request = owner.request(method, tensors, **header)
        if rng.random() < .3:
            owner.host = HostSession(folder, snapshot_every=2)
        answer = owner.host.handle(request)
        if rng.random() < .3:  # the answer is lost with the host
            owner.host = HostSession(folder, snapshot_every=2)
            assert owner.host.handle(request) == answer
        assert 'error' not in decode(answer)[0], decode(answer)[0]
        owner.seq += 1

    for _ in range(5):
        owner.step(call)
    call('average', momentum=1)
    assert_same(weights(owner.host), undisturbed)


def test_a_torn_journal_counts_up_to_the_tear(owner):
    owner.step()
    before = weights(owner.host)
    request = owner.request('forward', owner.patches(4), patches=[4], train=True, average=False,
                            wire='float32')
    answer = owner.host.handle(request)
    path = owner.host._journal.path
    path.write_bytes(path.read_bytes()[:-7])
    again = HostSession(owner.host.work_dir)
    assert again.seq == owner.seq
    assert_same(weights(again), before)
    assert again.handle(request) == answer


def test_a_full_disk_loses_nothing(owner, undisturbed, monkeypatch):
    append, fails = RequestJournal.append, [False]

    def failing(journal, request):
        if fails[0]:
            with open(journal.path, 'ab') as file:
                file.write(request[:20])  # a part was written
            raise OSError(errno.ENOSPC, 'No space left on device')
        append(journal, request)

    monkeypatch.setattr(RequestJournal, 'append', failing)

    def call(method, tensors=None, **header):
        request = owner.request(method, tensors, **header)
        fails[0] = True
        assert decode(owner.host.handle(request))[0]['kind'] == 'retry'
        fails[0] = False
        assert 'error' not in decode(owner.host.handle(request))[0]
        owner.seq += 1

    for _ in range(5):
        owner.step(call)
    call('average', momentum=1)
    assert_same(weights(owner.host), undisturbed)


def test_checkpoints(owner):
    owner.step()
    answer, _ = owner.call('save', step=7)
    saved = weights(owner.host)
    owner.step()
    owner.call('save', step=8)
    later = Owner(HostSession(owner.host.work_dir / 'empty'))
    later.host.work_dir = owner.host.work_dir
    later.call('open', spec=_spec(), run='c' * 32)
    found, _ = later.call('load', run=RUN, step=7)
    assert found['digest'] == answer['digest']
    assert_same(weights(later.host), saved)


@pytest.mark.parametrize(('run', 'step', 'text'), [
    (RUN, 5, 'is of step 5, and the host has steps 7 of this run'),
    ('d' * 32, 7, 'the host has no checkpoint'), ('../' * 10 + 'aa', 7, 'no identifier')])
def test_checkpoints_that_are_not_there(owner, run, step, text):
    owner.call('save', step=7)
    request = encode(dict(method='open', session='e' * 32, seq=0, spec=_spec(), run=RUN))
    owner.host.handle(request)
    request = encode(dict(method='load', session='e' * 32, seq=1, run=run, step=step))
    assert re.search(text, decode(owner.host.handle(request))[0]['error'])


def test_checkpoints_are_limited(owner):
    owner.host.max_checkpoints = 1
    owner.call('save', step=1)
    owner.call('save', step=1)
    answer = decode(owner.host.handle(owner.request('save', step=2)))[0]
    assert 'at most 1 checkpoints' in answer['error']


BAD = [
    ('forward', {}, dict(patches=[1], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[3], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[-1, 3], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[True, 1], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE)),
     dict(patches=[2], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, 4, SIDE, dtype=torch.uint8)),
     dict(patches=[2], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[], train=True, average=False, wire='float32')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[2], train=True, average=False, wire='pickle')),
    ('forward', dict(patches=torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)),
     dict(patches=[2], train=True, average=True, wire='float32')),
    ('forward', {}, dict(stored=[[0, 0]], train=True, average=False, wire='float32')),
    ('backward', {'0': torch.ones(2, 8)}, dict(forward=99, wire='float32')),
    ('step', {}, dict(options=[], factor=1)),
    ('step', {}, dict(options=[dict(lr=-1)], factor=1)),
    ('step', {}, dict(options=[dict(lr=1e9)], factor=1)),
    ('step', {}, dict(options=[dict(params=[1])], factor=1)),
    ('step', {}, dict(options=[dict(lr=.1, betas=[1, 2, 3])], factor=1)),
    ('step', {}, dict(options=[dict(lr=.1)], factor=-1)),
    ('average', {}, dict(momentum=2)),
    ('save', {}, dict(step=-1)), ('save', {}, dict(step=2**60)),
    ('fetch', {}, dict(names=['../../etc/passwd'], average=False)),
    ('fetch', {}, dict(names=[], average=True)),
    ('weights', dict(x=torch.ones(2)), {}),
    ('_snapshot', {}, {}), ('handle', {}, {}), ('step', {}, dict(options=[], factor=1, more=1)),
]


@pytest.mark.parametrize(('method', 'tensors', 'header'), BAD)
def test_hostile_requests_change_nothing(owner, method, tensors, header):
    owner.step()
    before, seq = weights(owner.host), owner.host.seq
    answer = decode(owner.host.handle(owner.request(method, tensors, **header)))[0]
    assert answer['kind'] == 'refused'
    assert_same(weights(owner.host), before)
    assert owner.host.seq == seq
    owner.step()  # and training goes on


@pytest.mark.parametrize('grads', [
    torch.full((13, 8), float('nan')), torch.full((13, 8), float('inf')), torch.ones(12, 8),
    torch.ones(13, 8, dtype=torch.int8), torch.ones(())])
def test_hostile_gradients_change_nothing(owner, grads):
    owner.call('forward', owner.patches(5, 3, 5), patches=[5, 3, 5], train=True, average=False,
               wire='float32')
    before = weights(owner.host)
    bad = owner.request('backward', {'0': grads}, forward=owner.seq, wire='float32')
    assert decode(owner.host.handle(bad))[0]['kind'] == 'refused'
    assert all(p.grad is None for p in owner.host.half.model.parameters())
    owner.call('backward', {'0': torch.ones(13, 8)}, forward=owner.seq, wire='float32')
    assert_same(weights(owner.host), before)


def test_gradients_that_overflow_take_no_step(owner):
    owner.call('forward', owner.patches(13), patches=[13], train=True, average=False,
               wire='float32')
    answer, _ = owner.call('backward', {'0': torch.full((13, 8), 3e38)}, forward=owner.seq,
                           wire='float32')
    assert answer['squared_norm'] is None
    before = weights(owner.host)
    refused = decode(owner.host.handle(owner.request('step', options=[dict(lr=.1)], factor=1)))[0]
    assert 'not finite' in refused['error']
    assert_same(weights(owner.host), before)
    owner.call('discard')
    owner.step()


@pytest.mark.parametrize('shift', [-2, -1, 1, 5])
def test_requests_out_of_order(owner, shift):
    owner.step()
    before = weights(owner.host)
    owner.seq += shift
    answer = decode(owner.host.handle(owner.request('discard')))[0]
    assert 'is the next: one was lost, repeated or changed' in answer['error']
    assert_same(weights(owner.host), before)


def test_another_session_is_not_known(owner):
    request = encode(dict(method='discard', session='f' * 32, seq=owner.seq + 1))
    assert 'does not know this session' in decode(owner.host.handle(request))[0]['error']


def test_too_many_forward_passes(owner):
    def forward():
        return owner.request('forward', owner.patches(2), patches=[2], train=True, average=False,
                             wire='float32')
    for _ in range(16):
        assert 'error' not in decode(owner.host.handle(forward()))[0]
        owner.seq += 1
    assert 'wait for their gradients already' in decode(owner.host.handle(forward()))[0]['error']


@pytest.mark.parametrize('change', [
    dict(backbone=dict(BACKBONE, type='os.system')), dict(mean=[1, 2]), dict(std=[1, 0, 1]),
    dict(mean=['a', 'b', 'c']), dict(optimizer=dict(type='os.system', groups=[])),
    dict(optimizer=dict(type='AdamW', groups=[dict(names=[], options={})])),
    dict(optimizer=dict(type='AdamW', groups=[dict(names=['x'], options={})])),
    dict(optimizer=dict(type='SGD', groups=[dict(names=[{}], options={})])),
    dict(optimizer=dict(type='SGD', groups=[dict(names=['norm.bias'] * 2, options={})])),
    dict(backbone=dict(BACKBONE, init_cfg=dict(type='Pretrained', checkpoint='x'))),
    dict(backbone=dict(BACKBONE, _delete_=True)), dict(custom_imports=dict(imports=['os'])),
    dict(seed='0'), dict(more=1)])
def test_sessions_that_are_refused(tmp_path, change):
    host = HostSession(tmp_path)
    request = encode(dict(method='open', session=SESSION, seq=0, run=RUN, spec=_spec(**change)))
    assert decode(host.handle(request))[0]['kind'] == 'refused'
    assert host.half is None


def test_options_that_are_none_count_as_left_out(tmp_path):
    host = HostSession(tmp_path)
    spec = _spec()
    spec['optimizer']['groups'][0]['options'] = dict(lr=.01, betas=None, eps=None, amsgrad=None)
    answer = decode(host.handle(encode(dict(
        method='open', session=SESSION, seq=0, run=RUN, spec=spec))))[0]
    assert 'error' not in answer
    assert host.half.optimizer.param_groups[0]['eps'] == 1e-8


@pytest.mark.parametrize('method', [['open'], {}, None, 1, {'type': 'os.system'}])
def test_methods_that_are_no_names(owner, method):
    """They are refused, and are no fault of the host that it would start anew after."""
    answer = decode(owner.host.handle(owner.request(method)))[0]
    assert answer['kind'] == 'refused'
    assert 'unknown method' in answer['error']


def test_a_journal_that_claims_a_huge_request_takes_no_memory(owner):
    path = owner.host._journal.path
    path.write_bytes(struct.pack('>Q32s', 2**62, b'') + bytes(100))
    assert list(RequestJournal(path).read()) == []
    path.write_bytes(struct.pack('>Q32s', 2**31, b'') + bytes(100))
    tracemalloc.start()
    assert RequestJournal(path).size == 0
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.just(SESSION),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=6)
METHODS = ['open', 'weights', 'load', 'forward', 'backward', 'step', 'discard', 'average', 'save',
           'fetch']
NAMES = ['spec', 'run', 'step', 'patches', 'stored', 'train', 'average', 'amp', 'wire', 'forward',
         'options', 'factor', 'clip_value', 'momentum', 'names']


@settings(max_examples=300)
@given(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8))
def test_fuzzed_headers(fuzzed, method, header):
    owner, before = fuzzed
    if method in ('discard', 'average', 'save', 'weights', 'fetch'):  # may well be valid
        header['more'] = 1
    answer = decode(owner.host.handle(owner.request(method, None, **header)))[0]
    assert answer.get('kind') == 'refused', (method, header)
    assert_same(weights(owner.host), before)


@pytest.fixture(scope='module')
def fuzzed(tmp_path_factory):
    owner = Owner(HostSession(tmp_path_factory.mktemp('fuzzed')))
    owner.open()
    return owner, weights(owner.host)
