"""Hostile bytes for every parser of files: no traceback but of user errors, no hang, little memory.

    python -m tests.sealed.fuzzing --minutes 60 [--seed 0]

tells how many inputs each parser was given. Inputs are valid files with bits flipped, pieces cut
out, doubled and exchanged, numbers and names replaced, digests renewed where that is anybody's to
do. The address space is limited to 1 GiB more than at the start.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mmppvit.annotations import parse_coco
from mmppvit.encryption import Key, Scheme
from mmppvit.encryption.wrapped_keys import _read_fields
from mmppvit.sealed import MANIFEST, Manifest, SealJob, seal_dataset
from mmppvit.sealed.journal import Journal
from mmppvit.sealed.manifest_format import canonical
from mmppvit.sealed.pixels_only import declared_size, metadata_of
from mmppvit.sealed.pseudonyms import name_of
from mmppvit.sealed.sealed_metadata import decrypt_stream, encrypt_stream

KEY = Key(bytes(range(32)))
PIECES = [b'', b'null', b'-1', b'1e999', b'NaN', b'[]', b'{}', b'""', b'9' * 400, b'\x00', b'\xff',
          b'../../x', b'\x1b[2J', b'[' * 2000, b'true', b'"\\ud800"', b'1.5', b'4', b'images/']
SLOW = 2.  # seconds


class Fuzzer:
    """Valid files, and the parsers that they are for."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        (folder / 'plain').mkdir(parents=True)
        for name in 'ab':
            img = np.random.default_rng(ord(name)).integers(0, 256, (16, 16, 3), np.uint8)
            cv2.imwrite(str(folder / 'plain' / f'{name}.png'), img)
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
        self.image = (folder / 'out/images/a.png').read_bytes()
        self.journal = Journal(folder / 'out', (0, 1), 'x' * 64, KEY)
        with self.journal:
            self.journal.start({0: Manifest.load(folder / 'out').images[:1]})
            self.journal.add(1, [], 'it is empty')
            self.journal.finish()
        self.lines = self.journal.path.read_bytes()
        self.stream = encrypt_stream(self.coco, KEY)
        self.key_text = f'mmppvit key 1\n{bytes(range(32)).hex()}\n{KEY.fingerprint}\n'.encode()

    def targets(self) -> dict[str, Callable[[], None]]:
        return dict(manifest=self.fuzz_manifest, renewed=self.fuzz_renewed_manifest,
                    journal=self.fuzz_journal, key=self.fuzz_key, wrapped=self.fuzz_wrapped,
                    json=self.fuzz_json, metadata=self.fuzz_metadata, image=self.fuzz_image,
                    pseudonym=self.fuzz_pseudonym)

    def mutated(self, content: bytes) -> bytes:
        content = bytearray(content)
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            at = self.rng.randrange(len(content) + 1)
            to = min(len(content), at + self.rng.choice((0, 1, 2, 8, 64)))
            kind = self.rng.randrange(4)
            if kind == 0 and at < len(content):
                content[at] ^= 1 << self.rng.randrange(8)
            elif kind == 1:
                content[at:to] = self.rng.choice(PIECES)
            elif kind == 2:
                content[at:at] = content[at:to]
            else:
                del content[at:to]
        return bytes(content)

    def fuzz_manifest(self) -> None:
        text = self.mutated(json.dumps(self.manifest).encode())
        (self.folder / 'out' / MANIFEST).write_bytes(text)
        Manifest.load(self.folder / 'out').check_key(KEY)

    def fuzz_renewed_manifest(self) -> None:
        data = {k: v for k, v in self.manifest.items() if k not in ('digest', 'signature')}
        data = json.loads(self.mutated(json.dumps(data).encode()))
        if not isinstance(data, dict):
            return
        data['digest'] = hashlib.sha256(canonical(data)).hexdigest()
        data['signature'] = self.manifest['signature']
        (self.folder / 'out' / MANIFEST).write_text(json.dumps(data))
        manifest = Manifest.load(self.folder / 'out')
        for image in manifest.images:
            manifest.read(image)

    def fuzz_journal(self) -> None:
        self.journal.path.write_bytes(self.mutated(self.lines))
        found = self.journal.read(self.job.scheme, self.job.scales)
        assert not found.files.keys() - {0}

    def fuzz_key(self) -> None:
        key = Key.parse(self.mutated(self.key_text).decode(errors='replace'), 'key')
        assert key.fingerprint == KEY.fingerprint

    def fuzz_wrapped(self) -> None:
        text = ('mmppvit wrapped key 1\n' + json.dumps(dict(
            kdf='scrypt', n=2**17, r=8, p=1, salt='00' * 16, nonce='00' * 12,
            ciphertext='00' * 48, fingerprint=KEY.fingerprint)) + '\n').encode()
        _read_fields(self.mutated(text).decode(errors='replace'), 'key')

    def fuzz_json(self) -> None:
        parse_coco(self.mutated(self.coco), 'json')

    def fuzz_metadata(self) -> None:
        assert decrypt_stream(self.mutated(self.stream), KEY) == self.coco

    def fuzz_image(self) -> None:
        content = self.mutated(self.image)
        metadata_of(content)
        declared_size(content)

    def fuzz_pseudonym(self) -> None:
        name_of(KEY, self.mutated(b'mfrggzdfmztwq2lkmfrggzdfmztwq2lk').decode(errors='replace'),
                '', '')


def fuzz(minutes: float, seed: int, most: int | None = None) -> Counter:
    """Inputs given to each parser until the time is over.

    Raises:
        Exception: What is no error of the user's.
    """
    counts = Counter()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), random.Random(seed))
        targets = list(fuzzer.targets().items())
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end and (most is None or counts.total() < most):
            for name, target in targets:
                start = time.monotonic()
                try:
                    target()
                except (ValueError, RecursionError) as err:
                    # json.loads in this file may give up at depth; parsers of the package may not.
                    if isinstance(err, RecursionError) and name != 'renewed':
                        raise
                counts[name] += 1
                assert time.monotonic() - start < SLOW, f'{name} hangs'
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=1)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    used = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, ) * 2)
    counts = fuzz(args.minutes, args.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f'{counts.total()} inputs, seed {args.seed}, peak memory {peak} MiB: {dict(counts)}')


if __name__ == '__main__':
    main()
