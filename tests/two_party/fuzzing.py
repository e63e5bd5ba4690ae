"""Hostile bytes for whatever comes from the other party: messages, halves of models, patches.

:mod:`tests.fuzzing` runs them. The parsers may raise ValueError and OSError and nothing else; the
host answers every request.
"""
from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from mmppvit.models.backbones import PEViT
from mmppvit.two_party.certificates import create_identity, fingerprint
from mmppvit.two_party.host_files import read_state
from mmppvit.two_party.host_session import HostSession
from mmppvit.two_party.messages import decode, encode
from mmppvit.two_party.part_schema import build_preprocessor, check_dataset_meta
from mmppvit.two_party.patch_store import PatchStore, write_store
from mmppvit.two_party.request_journal import RequestJournal
from mmppvit.two_party.split import BackboneHalf, read_part, write_part
from mmppvit.two_party.wire_types import WIRE_TYPES, pack_rows, unpack_rows
from tests.hostile_bytes import bent_json, mutated

__all__ = ['TwoPartyFiles']

BACKBONE = dict(arch=dict(embed_dims=8, num_layers=1, num_heads=2), patch_size=16, grid=2)
PREPROCESSOR = dict(mean=[1., 2., 3.], std=[4., 5., 6.], bgr_to_rgb=True, pad_size_divisor=8)
SESSION, RUN = 'a' * 32, 'b' * 32


class TwoPartyFiles:
    """Valid messages and files, and the parsers that they are for."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        torch.manual_seed(0)
        self.model = PEViT(**BACKBONE)
        self.parts = self._write_parts()
        self.store = folder / 'patches.safetensors'
        image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
        write_store(self.store, [image], 8)
        self.store_content = self.store.read_bytes()
        self.certificate = create_identity(folder / 'tls', 'host').read_bytes()
        self.requests = self._requests()
        self.host = self._host()
        self.state = next((folder / 'host/session').glob('*.safetensors')).read_bytes()
        self.journal = folder / 'requests.journal'
        for header, tensors in self.requests[2:4]:
            RequestJournal(self.journal).append(encode(header, tensors))
        self.journal_content = self.journal.read_bytes()

    def _write_parts(self) -> dict[str, bytes]:
        tensors = dict(
            backbone=(self.model.state_dict(), dict(backbone=BACKBONE, preprocessor=PREPROCESSOR)),
            head=(dict(weight=torch.zeros(8)), dict(dataset_meta=dict(classes=['a', 'b']))),
            tokens=(dict(map0=torch.zeros(8, 2, 2)), dict(file_name='a.png', img_shape=[16, 16])))
        for kind, (weights, info) in tensors.items():
            write_part(self.folder / f'{kind}.safetensors', kind, weights, info)
        return {kind: (self.folder / f'{kind}.safetensors').read_bytes() for kind in tensors}

    def _requests(self) -> list[tuple[dict, dict]]:
        names = [name for name, _ in self.model.named_parameters()]
        optimizer = dict(type='AdamW', groups=[dict(names=names, options=dict(lr=.01))])
        spec = dict(backbone=BACKBONE, mean=[1, 2, 3], std=[4, 5, 6.], optimizer=optimizer, seed=0)
        patches = dict(patches=torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
        asked = [
            ('open', dict(spec=spec, run=RUN), {}),
            ('weights', {}, dict(self.model.state_dict())),
            ('forward', dict(patches=[3, 1], train=True, average=False, wire='float32'), patches),
            ('backward', dict(forward=2, wire='float32'), {'0': torch.ones(4, 8)}),
            ('step', dict(options=[dict(lr=.01, betas=[.9, .99])], factor=1.), {}),
            ('average', dict(momentum=.5), {}),
            ('forward', dict(stored=[[0, 3]], train=False, average=True, wire='int8'), {}),
            ('fetch', dict(names=names[:2], average=False), {}),
            ('save', dict(step=1), {}), ('load', dict(run=RUN, step=1), {}), ('discard', {}, {})]
        return [(dict(header, method=method, session=SESSION, seq=i), tensors)
                for i, (method, header, tensors) in enumerate(asked)]

    def _host(self) -> HostSession:
        host = HostSession(self.folder / 'host', store=PatchStore(self.store), max_checkpoints=3)
        for header, tensors in self.requests[:2]:
            assert 'error' not in decode(host.handle(encode(header, tensors)))[0]
        return host

    def targets(self) -> dict[str, Callable[[], None]]:
        """Each gives one input to one parser."""
        return dict(
            message=self.fuzz_message, request=self.fuzz_request, wire=self.fuzz_wire,
            backbone_file=self.fuzz_backbone, head_file=self.fuzz_head, token_file=self.fuzz_tokens,
            preprocessor=self.fuzz_preprocessor, patch_file=self.fuzz_patches,
            host_state=self.fuzz_state, request_journal=self.fuzz_journal,
            certificate=self.fuzz_certificate)

    def fuzz_message(self) -> None:
        header, tensors = self.rng.choice(self.requests[2:])
        decode(mutated(encode(header, tensors), self.rng))

    def fuzz_request(self) -> None:
        """Requests that are well-formed, with the number that the host waits for."""
        header, tensors = self.rng.choice(self.requests)
        header = bent_json(header, self.rng)
        if not isinstance(header, dict):
            return
        if self.rng.random() < .9 and header.get('method') != 'open':
            header['seq'] = self.host.seq + 1
        if header.get('session') == SESSION and header.get('method') == 'open':
            header['session'] = 'c' * 32
        text = json.dumps(header).encode()
        answer, _ = decode(self.host.handle(
            struct.pack('>4sHI', b'MPV2', 1, len(text)) + text + self._tensors(tensors)))
        assert answer.get('error') != 'the host failed, see its log', header
        if self.host.session != SESSION or self.host.half is None or self.host.seq > 500:
            self._start_anew()

    def _tensors(self, tensors: dict) -> bytes:
        if self.rng.random() < .7 or not tensors:
            return save({k: v.contiguous() for k, v in tensors.items()})
        name = self.rng.choice(list(tensors))
        value = tensors[name]
        bent = self.rng.choice([
            value.double(), value.to(torch.int64), value.flatten(), value[:0], value[None],
            value.to(torch.float32) * float('nan'), torch.zeros(()), value.float()])
        return save({**{k: v.contiguous() for k, v in tensors.items()}, name: bent.contiguous()})

    def _start_anew(self) -> None:
        for file in (self.folder / 'host/session').iterdir():
            file.unlink()
        self.host = self._host()

    def fuzz_wire(self) -> None:
        kind = self.rng.choice(WIRE_TYPES)
        tensors = pack_rows(torch.randn(4, 8), kind, '0')
        content = save({k: v.contiguous() for k, v in tensors.items()})
        header = b'{}'
        _, found = decode(struct.pack('>4sHI', b'MPV2', 1, 2) + header + mutated(content, self.rng))
        assert unpack_rows(found, kind, '0', (4, 8)).isfinite().all()

    def _bent(self, kind: str) -> Path:
        """A file whose bytes are bent, or what its metadata says."""
        content = self.parts[kind]
        if self.rng.random() < .5:
            content = mutated(content, self.rng)
        else:
            length, = struct.unpack_from('<Q', content)
            head = json.loads(content[8:8 + length])
            info = bent_json(json.loads(head['__metadata__']['mmppvit']), self.rng)
            head['__metadata__']['mmppvit'] = json.dumps(info)
            if self.rng.random() < .2:
                head = bent_json(head, self.rng)
            text = json.dumps(head).encode()
            content = struct.pack('<Q', len(text)) + text + content[8 + length:]
        path = self.folder / f'bent-{kind}.safetensors'
        path.write_bytes(content)
        return path

    def fuzz_backbone(self) -> None:
        BackboneHalf.load(self._bent('backbone'))

    def fuzz_head(self) -> None:
        """Without a detector, which nothing in the file has a say in."""
        _, info = read_part(self._bent('head'), 'head')
        check_dataset_meta(info.get('dataset_meta'))

    def fuzz_tokens(self) -> None:
        read_part(self._bent('tokens'), 'tokens')

    def fuzz_preprocessor(self) -> None:
        build_preprocessor(bent_json(PREPROCESSOR, self.rng))

    def fuzz_patches(self) -> None:
        path = self.folder / 'bent-patches.safetensors'
        path.write_bytes(mutated(self.store_content, self.rng))
        store = PatchStore(path)
        for i in range(min(len(store), 2)):
            store.get([i, self.rng.randrange(8)])

    def fuzz_state(self) -> None:
        path = self.folder / 'bent-state.safetensors'
        path.write_bytes(mutated(self.state, self.rng))
        read_state(path)

    def fuzz_journal(self) -> None:
        self.journal.write_bytes(mutated(self.journal_content, self.rng))
        for request in RequestJournal(self.journal).read():
            decode(request)

    def fuzz_certificate(self) -> None:
        path = self.folder / 'tls/bent.crt'
        path.write_bytes(mutated(self.certificate, self.rng))
        fingerprint(path)
