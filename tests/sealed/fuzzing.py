"""Hostile bytes for every parser of the owner's files: sealed sets, jsons, keys, images.

:mod:`tests.fuzzing` runs them. The parsers may raise ValueError and OSError, whose one line the
command line prints, and nothing else.
"""
from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mmppvit.annotations import parse_coco
from mmppvit.encryption import Key, Scheme
from mmppvit.encryption.wrapped_keys import _read_fields
from mmppvit.sealed import MANIFEST, Manifest, SealJob, read_plain, seal_dataset
from mmppvit.sealed.image_files import declared_size, decode_image
from mmppvit.sealed.journal import Journal
from mmppvit.sealed.manifest_format import SEALED_METADATA, canonical, parse_json
from mmppvit.sealed.pixels_only import extras_of, metadata_of
from mmppvit.sealed.pseudonyms import name_of
from mmppvit.sealed.sealed_metadata import decrypt_stream, encrypt_stream
from mmppvit.sealed.sources import read_sources
from tests.hostile_bytes import bent_json, dumped, mutated
from tests.sealed.packed_fuzzing import PackedFiles

__all__ = ['SealedFiles']

KEY = Key(bytes(range(32)))
PLAIN = [('.png', [cv2.IMWRITE_PNG_COMPRESSION, 1]), ('.jpg', []), ('.webp', []), ('.bmp', []),
         ('.tiff', []), ('.ppm', []), ('.gif', []), ('.jp2', [])]


class SealedFiles:
    """Valid files, and the parsers that they are for."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self._draw_images()
        self.coco = json.dumps(dict(
            images=[dict(id=i, file_name=f'{n}.png', width=16, height=16)
                    for i, n in enumerate('ab')],
            annotations=[dict(id=1, image_id=0, category_id=1, bbox=[1, 2, 3, 4], area=12,
                              iscrowd=0, segmentation=[[1, 1, 4, 1, 4, 4]])],
            categories=[dict(id=1, name='cell')])).encode()
        (folder / 'ann.json').write_bytes(self.coco)
        self.job = SealJob(folder / 'plain', folder / 'out', Scheme('mix+shuffle', 8),
                           folder / 'ann.json', KEY)
        seal_dataset(self.job)
        self.manifest = json.loads((folder / 'out' / MANIFEST).read_text())
        self.packed = PackedFiles(folder / 'out', folder / 'packed', KEY, rng)
        self.image = (folder / 'out/images/a.png').read_bytes()
        self._seal_metadata()
        self.journal = Journal(folder / 'out', (0, 1), 'x' * 64, KEY)
        with self.journal:
            self.journal.start([(0, Manifest.load(folder / 'out').images[:1])])
            self.journal.add(1, [], 'it is empty')
            self.journal.finish([])
        self.lines = self.journal.path.read_bytes()
        self.stream = encrypt_stream(self.coco, KEY)
        self.key_text = f'mmppvit key 1\n{bytes(range(32)).hex()}\n{KEY.fingerprint}\n'.encode()

    def _draw_images(self) -> None:
        (self.folder / 'plain').mkdir(parents=True)
        for name in 'ab':
            img = np.random.default_rng(ord(name)).integers(0, 256, (16, 16, 3), np.uint8)
            cv2.imwrite(str(self.folder / 'plain' / f'{name}.png'), img)
        img = np.tile(img, (8, 8, 1))  # JPEG 2000 needs some size
        self.plain = {suffix: cv2.imencode(suffix, img, options)[1].tobytes()
                      for suffix, options in PLAIN if cv2.haveImageWriter(f'a{suffix}')}
        self.plain['16.png'] = cv2.imencode('.png', img.astype(np.uint16) * 257)[1].tobytes()

    def _seal_metadata(self) -> None:
        job = SealJob(self.folder / 'plain', self.folder / 'hidden', Scheme('mix+shuffle', 8),
                      self.folder / 'ann.json', KEY, seal_metadata=True)
        seal_dataset(job)
        self.hidden = Manifest.load(job.out)
        content = (job.out / SEALED_METADATA).read_bytes()
        self.hidden_json = parse_json(decrypt_stream(content, KEY))

    def targets(self) -> dict[str, Callable[[], None]]:
        """Each gives one input to one parser."""
        return dict(
            manifest=self.fuzz_manifest, renewed_manifest=self.fuzz_renewed_manifest,
            journal=self.fuzz_journal, signed_journal=self.fuzz_signed_journal, key=self.fuzz_key,
            wrapped_key=self.fuzz_wrapped_key, json=self.fuzz_json, json_values=self.fuzz_values,
            sources=self.fuzz_sources, metadata=self.fuzz_metadata,
            signed_metadata=self.fuzz_signed_metadata, sealed_image=self.fuzz_sealed_image,
            plain_image=self.fuzz_plain_image, pseudonym=self.fuzz_pseudonym,
            **self.packed.targets())

    def fuzz_manifest(self) -> None:
        text = mutated(dumped(self.manifest), self.rng)
        (self.folder / 'out' / MANIFEST).write_bytes(text)
        Manifest.load(self.folder / 'out').check_key(KEY)

    def fuzz_renewed_manifest(self) -> None:
        """Anybody can renew the digest, and whoever has the key could sign anything."""
        data = {k: v for k, v in self.manifest.items() if k not in ('digest', 'signature')}
        data = bent_json(data, self.rng)
        if not isinstance(data, dict):
            return
        data['digest'] = hashlib.sha256(canonical(data)).hexdigest()
        data['signature'] = KEY.mac('manifest', canonical(
            {k: v for k, v in data.items() if k not in ('digest', 'signature')}))
        (self.folder / 'out' / MANIFEST).write_bytes(dumped(data))
        manifest = Manifest.load(self.folder / 'out')
        manifest.check_identity('', '', 1)
        manifest.check_key(KEY)
        for image in manifest.images:
            manifest.read(image)

    def fuzz_journal(self) -> None:
        self.journal.path.write_bytes(mutated(self.lines, self.rng))
        found = self.journal.read(self.job.scheme, self.job.scales)
        assert not found.files.keys() - {0}

    def fuzz_signed_journal(self) -> None:
        head, *lines = [json.loads(line) for line in self.lines.splitlines()]
        at = self.rng.randrange(len(lines))
        entry = bent_json({k: v for k, v in lines[at].items() if k != 'mac'}, self.rng)
        if isinstance(entry, dict):
            lines[at] = entry | dict(mac=self.journal._mac(entry))
        self.journal.path.write_bytes(b'\n'.join(map(dumped, (head, *lines))))
        self.journal.read(self.job.scheme, self.job.scales)

    def fuzz_key(self) -> None:
        text = mutated(self.key_text, self.rng).decode(errors='replace')
        assert Key.parse(text, 'key').fingerprint == KEY.fingerprint

    def fuzz_wrapped_key(self) -> None:
        fields = dict(kdf='scrypt', n=2**17, r=8, p=1, salt='00' * 16, nonce='00' * 12,
                      ciphertext='00' * 48, fingerprint=KEY.fingerprint)
        if self.rng.random() < .5:
            fields = bent_json(fields, self.rng)
        text = b'mmppvit wrapped key 1\n' + dumped(fields) + b'\n'
        if self.rng.random() < .5:
            text = mutated(text, self.rng)
        _read_fields(text.decode(errors='replace'), 'key')

    def fuzz_json(self) -> None:
        parse_coco(mutated(self.coco, self.rng), 'json')

    def fuzz_values(self) -> None:
        parse_coco(dumped(bent_json(json.loads(self.coco), self.rng)), 'json')

    def fuzz_sources(self) -> None:
        path = self.folder / 'bent.json'
        path.write_bytes(dumped(bent_json(json.loads(self.coco), self.rng)))
        read_sources(self.folder / 'plain', path)

    def fuzz_metadata(self) -> None:
        assert decrypt_stream(mutated(self.stream, self.rng), KEY) == self.coco

    def fuzz_signed_metadata(self) -> None:
        """As if the key's holder had sealed anything."""
        content = encrypt_stream(dumped(bent_json(self.hidden_json, self.rng)), KEY)
        (self.hidden.root / SEALED_METADATA).write_bytes(content)
        manifest = Manifest.load(self.hidden.root)
        manifest.sealed_metadata = hashlib.sha256(content).hexdigest()
        manifest.check_key(KEY)
        manifest.read_annotations()

    def fuzz_sealed_image(self) -> None:
        content = mutated(self.image, self.rng)
        if metadata_of(content) or declared_size(content) != (8, 8):
            return
        extras_of(content, decode_image(content))

    def fuzz_plain_image(self) -> None:
        suffix = self.rng.choice(list(self.plain))
        path = self.folder / f'bent{suffix}'
        path.write_bytes(mutated(self.plain[suffix], self.rng))
        read_plain(path)

    def fuzz_pseudonym(self) -> None:
        name = mutated(b'mfrggzdfmztwq2lkmfrggzdfmztwq2lk', self.rng).decode(errors='replace')
        name_of(KEY, name, '', '')
