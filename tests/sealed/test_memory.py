"""What sealing holds in memory does not grow with the set, as far as it can be helped."""
from __future__ import annotations

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from mmppvit.annotations import json_stream
from mmppvit.cli.app import main
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import Manifest, SealedImage, seal_dataset
from mmppvit.sealed.journal import Journal, JournalIndex
from mmppvit.sealed.resume import make_plan
from mmppvit.sealed.sources import Source, forget_annotations
from mmppvit.sealed.weakening import LookAlikes
from tests.sealed.jobs import make_job

IMAGE = SealedImage('images/0.png', '0.jpg', 0, (64, 64), (64, 64), (32, 32), 3200,
                    hashlib.sha256().hexdigest(), '0' * 32, '0' * 32)


class Images(Sequence):
    """As many as are asked for, none of them kept."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> SealedImage:
        index = range(self._count)[index]
        return replace(IMAGE, file=f'images/{index}.png', source=f'{index}.jpg')


def _peak(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _growth(function: Callable[[int], object], few: int = 50, many: int = 350) -> float:
    """Bytes of peak memory for each image more; of several, as what is cached first is no growth.
    """
    small, large = (min(_peak(lambda n=count: function(n)) for _ in range(2))
                    for count in (few, many))
    return (large - small) / (many - few)


@pytest.mark.parametrize('with_key', [True, False])
def test_a_manifest_is_written_image_by_image(key, tmp_path, with_key):
    def save(count: int) -> None:
        Manifest(tmp_path, Scheme('mix+shuffle'), 'png', [None], '0' * 64, images=Images(count),
                 key=dict(fingerprint=key.fingerprint, derivation=1), counter=1, padding='fit'
                 ).save(key if with_key else None)

    assert _growth(save) < 50
    manifest = Manifest.load(tmp_path)
    assert manifest.images == list(Images(350))
    if with_key:
        manifest.check_key(key)
    assert len(json.loads((tmp_path / 'manifest.json').read_text())['pictures']) == 350


def test_a_journal_is_not_held(key, tmp_path):
    def index(count: int) -> list[SealedImage]:
        with Journal(tmp_path, (0, 1), 'job', key) as journal:
            journal.start([])
            for i in range(count):
                journal.add(i, [Images(count)[i]], None)
            journal.finish([])
        found = JournalIndex(journal, range(count), Scheme('mix+shuffle'), [None])
        assert found.covers()
        return found.files(count - 1)

    assert _growth(index) < 100
    assert index(7) == [Images(7)[6]]


def test_a_plan_keeps_names_and_sizes(tmp_path, monkeypatch):
    """Not the json, of which an image and its annotation took 2 KB."""
    (tmp_path / 'images').mkdir()

    def plan(count: int) -> None:
        (tmp_path / 'ann.json').write_text(json.dumps(dict(
            images=[dict(id=i, file_name=f'{i:06d}.jpg', width=64, height=48)
                    for i in range(count)],
            annotations=[dict(id=i + 1, image_id=i, category_id=1, bbox=[i % 7, 2.5, 30, 40],
                              area=1200., iscrowd=0, segmentation=[[i % 7, 2.5, 33, 2.5, 33, 42]])
                         for i in range(count)],
            categories=[dict(id=1, name='thing')])))
        tracemalloc.reset_peak()
        forget_annotations()
        found = make_plan(make_job(tmp_path, tmp_path / 'out', Key(bytes(32))), resume=False)
        assert found.sources[count - 1] == Source(f'{count - 1:06d}.jpg', (64, 48))
        assert found.names[count - 1] == f'{count - 1:06d}.png'

    monkeypatch.setattr(json_stream, '_BLOCK', 32)
    assert _growth(plan, 64, 256) < 900


def test_each_image_of_a_journal_is_read_once_for_the_manifest(plain, tmp_path, key, monkeypatch):
    read = []
    files = JournalIndex.files
    monkeypatch.setattr(JournalIndex, 'files', lambda self, i: read.append(i) or files(self, i))
    seal_dataset(make_job(plain, tmp_path / 'out', key))
    assert sorted(read) == list(range(len(Manifest.load(tmp_path / 'out').images)))


def test_look_alikes_are_forgotten(tmp_path):
    """Those that are found are those of the last 50 of a bucket, so no more are kept."""
    job = make_job(tmp_path, tmp_path / 'out', Key(bytes(32)))

    def look(count: int) -> LookAlikes:
        looks = LookAlikes(job)
        for i in range(count):
            looks.add(f'{i}.jpg', 0)
        return looks

    assert _growth(look) < 50
    assert 'pairs of images are near-duplicates, e.g. 0.jpg and 1.jpg' in look(60).warnings()[0]


def test_packing_does_not_hold_the_manifest(tmp_path, key, monkeypatch):
    def pack(count: int) -> None:
        root = tmp_path / f'{count}'
        if not root.exists():
            Manifest(root, Scheme('mix+shuffle'), 'png', [None], '0' * 64, images=Images(count),
                     key=dict(fingerprint=key.fingerprint, derivation=1), counter=1,
                     padding='fit').save(key)
            tracemalloc.reset_peak()
        shutil.rmtree(tmp_path / 'out', ignore_errors=True)
        assert not main(['pack', str(root), '--out', str(tmp_path / 'out'), '--key-file',
                         str(key.path)])

    monkeypatch.setattr(json_stream, '_BLOCK', 32)
    monkeypatch.setattr(Manifest, 'read', lambda self, image: bytes(image.bytes))
    assert _growth(pack, 64, 256) < 900
