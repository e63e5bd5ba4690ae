"""Hostile bytes for every parser of a packed set: entries, their tree and index, tar shards."""
from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mmppvit.encryption import Key
from mmppvit.sealed import MANIFEST, Manifest, pack_dataset
from mmppvit.sealed.check_shards import check_shards
from mmppvit.sealed.entry_files import ENTRIES, ENTRY_INDEX, ENTRY_TREE, write_index
from mmppvit.sealed.manifest_format import canonical
from mmppvit.sealed.merkle import leaf_hash
from tests.hostile_bytes import bent_json, dumped, mutated

__all__ = ['PackedFiles']

_LEFT_OUT = ('digest', 'signature')


class PackedFiles:
    """A valid packed set, and the parsers that its files are for.

    Args:
        sealed (Path): The sealed set to pack.
        folder (Path): For the packed one.
        key (Key): That signed it.
        rng (random.Random): Of all that is drawn.
    """

    def __init__(self, sealed: Path, folder: Path, key: Key, rng: random.Random) -> None:
        self.folder, self.key, self.rng = folder, key, rng
        packed = pack_dataset(Manifest.load(sealed), key, folder)
        self.images = list(packed.images)
        self.content = packed.read(self.images[0])
        self.shard = 'shards/' + next((folder / 'shards').iterdir()).name
        self.valid = {name: (folder / name).read_bytes() for name in (
            MANIFEST, ENTRIES, ENTRY_TREE, ENTRY_INDEX, self.shard)}
        self.manifest = json.loads(self.valid[MANIFEST])
        self.lines = [json.loads(line) for line in self.valid[ENTRIES].splitlines()]

    def targets(self) -> dict[str, Callable[[], None]]:
        """Each gives one input to one parser."""
        return dict(packed_manifest=self.fuzz_manifest, signed_entries=self.fuzz_signed_entries,
                    shard=self.fuzz_shard,
                    **{name: lambda name=name: self.fuzz_file(name)
                       for name in (ENTRIES, ENTRY_TREE, ENTRY_INDEX)})

    def fuzz_file(self, name: str) -> None:
        """Entries, tree or index; nothing of what is read differs from what was signed."""
        self._restore()
        (self.folder / name).write_bytes(mutated(self.valid[name], self.rng))
        self._read()

    def fuzz_shard(self) -> None:
        self._restore()
        (self.folder / self.shard).write_bytes(mutated(self.valid[self.shard], self.rng))
        problems = list(check_shards(Manifest.load(self.folder)))
        changed = (self.folder / self.shard).read_bytes() != self.valid[self.shard]
        assert bool(problems) == changed
        self._read()

    def fuzz_manifest(self) -> None:
        """Anybody can renew the digest, and whoever has the key could sign anything."""
        self._restore()
        data = {k: v for k, v in self.manifest.items() if k not in _LEFT_OUT}
        data = bent_json(data, self.rng)
        if isinstance(data, dict):
            self._sign(data)
            self._use()

    def fuzz_signed_entries(self) -> None:
        """As if the key's holder had packed any lines."""
        self._restore()
        lines = [dumped(bent_json(line, self.rng)) for line in self.lines]
        lines = lines if self.rng.random() < .8 else [mutated(lines[0], self.rng), *lines[1:]]
        (self.folder / ENTRIES).write_bytes(b''.join(line + b'\n' for line in lines))
        names = [image.file for image in self.images]
        root = write_index(self.folder, names, [len(line) + 1 for line in lines],
                           b''.join(map(leaf_hash, lines)))
        data = {k: v for k, v in self.manifest.items() if k not in _LEFT_OUT}
        self._sign(data | dict(packed=data['packed'] | dict(root=root)))
        self._use()

    def _restore(self) -> None:
        for name, content in self.valid.items():
            (self.folder / name).write_bytes(content)

    def _sign(self, data: dict) -> None:
        content = canonical(data)
        data = data | dict(digest=hashlib.sha256(content).hexdigest(),
                           signature=self.key.mac('manifest', content))
        (self.folder / MANIFEST).write_bytes(dumped(data))

    def _read(self) -> None:
        """Whatever is found, by name, by number or at all, is what was signed."""
        manifest = Manifest.load(self.folder)
        manifest.check_key(self.key)
        first, second, *_ = self.images
        with suppress(ValueError, OSError):
            assert manifest.by_file.get(first.file, first) == first  # an index may lack a name
        with suppress(ValueError, OSError):
            assert manifest.images[1] == second
        with suppress(ValueError, OSError):
            assert list(manifest.images) == self.images
        with suppress(ValueError, OSError):
            assert manifest.read(first) == self.content

    def _use(self) -> None:
        manifest = Manifest.load(self.folder)
        manifest.check_key(self.key)
        for image in manifest.images:
            manifest.read(image)
        list(check_shards(manifest))
