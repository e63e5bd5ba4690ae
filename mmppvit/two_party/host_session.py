"""One training on the host: requests in their order, each once, and what outlives a kill."""
from __future__ import annotations

import hashlib
import logging
import re
import threading
import traceback
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor

from mmppvit.two_party.host_files import find_state, read_state, remove_others, write_state
from mmppvit.two_party.messages import ProtocolError, decode, encode, fields
from mmppvit.two_party.patch_store import PatchStore
from mmppvit.two_party.request_journal import RequestJournal
from mmppvit.two_party.training_half import TrainingHalf
from mmppvit.two_party.wire_types import WIRE_TYPES, pack_rows, unpack_rows

__all__ = ['HostSession']

_NONE = type(None)
_BASE = dict(method=(str, ), session=(str, ), seq=(int, ))
_FORWARD = dict(_BASE, patches=(list, _NONE), stored=(list, _NONE), train=(bool, ),
                average=(bool, ), amp=(str, _NONE), wire=(str, ))
_METHODS = dict(
    open=dict(_BASE, spec=(dict, ), run=(str, )),
    weights=_BASE,
    load=dict(_BASE, run=(str, ), step=(int, )),
    forward=_FORWARD,
    backward=dict(_BASE, forward=(int, ), wire=(str, )),
    step=dict(_BASE, options=(list, ), factor=(int, float), clip_value=(int, float, _NONE)),
    discard=_BASE,
    average=dict(_BASE, momentum=(int, float)),
    save=dict(_BASE, step=(int, )),
    fetch=dict(_BASE, names=(list, ), average=(bool, )))
_HEX = re.compile('[0-9a-f]{32}')
_MAX_STEP = 2**40
_MAX_JOURNAL = 2**28  # bytes after which a snapshot is due


class HostSession:
    """Answers the owner's requests; one thread at a time computes.

    Requests that change something are numbered. The last one may come again (its answer was
    lost) and gets the same answer; any other number than the next is refused. Such requests are
    written to a journal before they are answered. A host that was killed reads the last snapshot,
    repeats the journal and goes on, with the same weights.

    Args:
        work_dir (Path): Snapshots, journal and checkpoints.
        device (str): Where the backbone computes.
        store (PatchStore, optional): Sealed images that are here already.
        snapshot_every (int): Steps between snapshots.
        max_checkpoints (int): Most checkpoints of a run; more are refused.
        distributed (bool): Whether this is one of the processes of torch's default group, which
            train together. They keep checkpoints, and no snapshots: one that is killed
            ends the session of all, and the owner goes on from a checkpoint.
    """

    def __init__(self, work_dir: Path, device: str = 'cpu', store: PatchStore | None = None,
                 snapshot_every: int = 100, max_checkpoints: int = 1000,
                 distributed: bool = False) -> None:
        self.work_dir = Path(work_dir)
        self.device = device
        self.store = store
        self.snapshot_every = snapshot_every
        self.max_checkpoints = max_checkpoints
        self.distributed = distributed
        self._lock = threading.Lock()
        (self.work_dir / 'session').mkdir(parents=True, exist_ok=True)
        self._recover()

    def handle(self, request: bytes) -> bytes:
        """The answer to a request; errors are answers, too, and have changed nothing."""
        with self._lock:
            try:
                if self._torn:
                    self._recover()
                return self._handle(request)
            except ProtocolError as err:
                return encode(dict(error=str(err)[:1000], kind='refused'))
            except OSError as err:  # a full disk: the same request may succeed later
                print_log(f'{err}; the owner will try again', logger='current')
                return encode(dict(error=f'the host cannot write: {err.strerror}', kind='retry'))
            except Exception:  # a fault here, or one that the owner found: nothing half done stays
                print_log(traceback.format_exc(), logger='current', level=logging.ERROR)
                self._torn = self.committed
                if self.distributed:
                    self.half = None
                return encode(dict(error='the host failed, see its log', kind='refused'))

    def _handle(self, request: bytes) -> bytes:
        header, tensors = decode(request)
        method = header.get('method')
        if not isinstance(method, str) or method not in _METHODS:
            raise ProtocolError(f'unknown method {str(method)[:40]!r}')
        fields(header, _METHODS[method], method)
        if not _HEX.fullmatch(header['session']):
            raise ProtocolError('the session is no identifier')
        digest = hashlib.sha256(request).hexdigest()
        if header['session'] == self.session and header['seq'] == self.seq \
                and digest == self._last[0]:
            return self._last[1]  # the answer was lost on its way
        if method == 'open':
            return self._open(header, digest)
        self._check_session(header)
        if method == 'fetch' or (method == 'forward' and not header['train']):
            return getattr(self, f'_do_{method}')(header, tensors)
        if header['seq'] != self.seq + 1:
            raise ProtocolError(f'request {header["seq"]} where {self.seq + 1} is the next: one '
                                'was lost, repeated or changed')
        response = getattr(self, f'_do_{method}')(header, tensors)
        if self.committed:
            self._torn = True  # until it is on disk, what is in memory does not count
            self._journal.append(request)
        self._accept(header['seq'], digest, response)
        self._torn = False
        if not self.committed and not self.half.missing and not self.distributed:
            self._commit()
        elif self.committed and method == 'step' and (
                self.steps % self.snapshot_every == 0 or self._journal.size > _MAX_JOURNAL):
            self._try_snapshot()
        return response

    def _accept(self, seq: int, digest: str, response: bytes) -> None:
        self.seq, self._last = seq, (digest, response)

    def _check_session(self, header: dict) -> None:
        if self.half is None or header['session'] != self.session:
            raise ProtocolError(
                'the host does not know this session: it was started anew in another folder, or '
                'another owner has taken it. Go on from your last checkpoint with --resume')

    def _open(self, header: dict, digest: str) -> bytes:
        if header['seq'] != 0 or not _HEX.fullmatch(header['run']):
            raise ProtocolError('a session begins with request 0 and an identifier of the run')
        if header['session'] == self.session:
            raise ProtocolError('this session is open already')
        half = TrainingHalf(header['spec'], self.device, self.distributed)
        self.half, self.session, self.run, self.steps = half, header['session'], header['run'], 0
        self.committed = False
        count = 0 if self.store is None else len(self.store)
        response = encode(dict(missing=sorted(half.missing), stored=count,
                               store_digest=self.store.digest if self.store else None))
        self._accept(0, digest, response)
        return response

    def _do_weights(self, header: dict, tensors: dict[str, Tensor]) -> bytes:
        self.half.put_weights(tensors)
        return encode(dict(missing=len(self.half.missing)))

    def _do_load(self, header: dict, tensors: dict) -> bytes:
        if not _HEX.fullmatch(header['run']):
            raise ProtocolError('the run is no identifier')
        _check_step(header['step'])
        folder = self.work_dir / header['run']
        path = folder / f'step-{header["step"]}.safetensors'
        if not path.is_file():
            there = sorted(int(p.stem[5:]) for p in folder.glob('step-*.safetensors'))
            raise ProtocolError(
                f"the owner's checkpoint is of step {header['step']}, and the host has "
                f'{"steps " + ", ".join(map(str, there[-5:])) if there else "no checkpoint"} of '
                'this run: both halves must go on from the same step')
        state, info = read_state(path)
        if info['spec']['backbone'] != self.half.spec['backbone']:
            raise ProtocolError(f'the checkpoint of the host is of the backbone '
                                f'{info["spec"]["backbone"]}, and the owner has '
                                f'{self.half.spec["backbone"]}')
        self.half.load(state)
        self.run = header['run']
        return encode(dict(step=header['step'], digest=info['digest']))

    def _do_forward(self, header: dict, tensors: dict[str, Tensor]) -> bytes:
        if header['wire'] not in WIRE_TYPES:
            raise ProtocolError('unknown wire type')
        images = self._images(header, tensors)
        outs = self.half.forward(images, header['seq'] if header['train'] else None,
                                 header['average'], header.get('amp'))
        packed: dict[str, Tensor] = {}
        for i, rows in enumerate(outs):
            packed.update(pack_rows(rows, header['wire'], str(i)))
        return encode({}, packed)

    def _images(self, header: dict, tensors: dict[str, Tensor]) -> list[Tensor]:
        if (header.get('stored') is None) == (header.get('patches') is None):
            raise ProtocolError('a forward pass is of stored images or of patches')
        if header.get('stored') is not None:
            if self.store is None:
                raise ProtocolError('this host has no sealed images: start it with --patches')
            return [self.store.get(item) for item in header['stored']]
        counts, patches = header['patches'], tensors.get('patches')
        if not counts or any(type(n) is not int or n < 1 for n in counts) or patches is None \
                or patches.ndim != 4 or sum(counts) != len(patches):
            raise ProtocolError('the patches do not fit their numbers')
        return list(patches.split(counts))

    def _do_backward(self, header: dict, tensors: dict[str, Tensor]) -> bytes:
        if header['wire'] not in WIRE_TYPES:
            raise ProtocolError('unknown wire type')
        shapes = self.half.shapes(header['forward'])
        grads = [unpack_rows(tensors, header['wire'], str(i), shape)
                 for i, shape in enumerate(shapes)]
        return encode(dict(squared_norm=self.half.backward(header['forward'], grads)))

    def _do_step(self, header: dict, tensors: dict) -> bytes:
        self.half.step(header['options'], header['factor'], header.get('clip_value'))
        self.steps += 1
        return encode(dict(steps=self.steps))

    def _do_discard(self, header: dict, tensors: dict) -> bytes:
        self.half.discard()
        return encode({})

    def _do_average(self, header: dict, tensors: dict) -> bytes:
        self.half.average(header['momentum'])
        return encode({})

    def _do_save(self, header: dict, tensors: dict) -> bytes:
        _check_step(header['step'])
        path = self.work_dir / self.run / f'step-{header["step"]}.safetensors'
        if not path.exists() and sum(1 for _ in path.parent.glob('step-*')) >= \
                self.max_checkpoints:
            raise ProtocolError(f'the host keeps at most {self.max_checkpoints} checkpoints of a '
                                'run: save less often, or ask it to raise --max-checkpoints')
        digest = write_state(path, self.half.state(), dict(spec=self.half.spec))
        return encode(dict(step=header['step'], digest=digest))

    def _do_fetch(self, header: dict, tensors: dict) -> bytes:
        if header['average'] and self.half.ema is None:
            raise ProtocolError('there are no averaged weights')
        state = (self.half.ema if header['average'] else self.half.model).state_dict()
        if any(not isinstance(name, str) or name not in state for name in header['names']):
            raise ProtocolError('the backbone has no such weights')
        return encode({}, {name: state[name] for name in header['names']})

    def _commit(self) -> None:
        """From here on the session outlives the process."""
        try:
            self._snapshot()
        except OSError:
            self.half = None
            raise
        self.committed = True

    def _try_snapshot(self) -> None:
        try:
            self._snapshot()
        except OSError as err:  # the journal goes on, and has everything
            print_log(f'no snapshot: {err}', logger='current')

    def _snapshot(self) -> None:
        if not self.half.idle:
            return
        info = dict(session=self.session, run=self.run, seq=self.seq, steps=self.steps,
                    spec=self.half.spec, last=[self._last[0], self._last[1].hex()]
                    if len(self._last[1]) < 2**16 else None, missing=sorted(self.half.missing))
        path = self.work_dir / 'session' / f'{self.seq:012d}-{self.session}.safetensors'
        write_state(path, self.half.state(), info)
        self._journal = RequestJournal(path.with_suffix('.journal'))
        remove_others(path)

    def _recover(self) -> None:
        self.half: TrainingHalf | None = None
        self.session, self.run, self.seq, self.steps = '', '', -1, 0
        self._last: tuple[str, bytes] = ('', b'')
        self.committed = self._torn = False
        path = None if self.distributed else find_state(self.work_dir / 'session')
        if path is None:
            return
        state, info = read_state(path)
        self.half = TrainingHalf(info['spec'], self.device)
        self.half.load(state)
        self.session, self.run, self.seq, self.steps = (
            info['session'], info['run'], info['seq'], info['steps'])
        if info['last']:
            self._last = info['last'][0], bytes.fromhex(info['last'][1])
        self._journal = RequestJournal(path.with_suffix('.journal'))
        self.committed = True
        for count, request in enumerate(self._journal.read()):
            header, tensors = decode(request)
            response = getattr(self, f'_do_{header["method"]}')(header, tensors)
            self._accept(header['seq'], hashlib.sha256(request).hexdigest(), response)
            if count == 0:
                print_log(f'going on with the session of run {self.run[:8]}', logger='current')


def _check_step(step: int) -> None:
    if not 0 <= step < _MAX_STEP:
        raise ProtocolError('a checkpoint of an impossible step')
