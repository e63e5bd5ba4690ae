"""Sealing into tar shards is sealing and packing, without two copies, whenever it is killed."""
from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from mmppvit.cli.app import main
from mmppvit.sealed import (
    Manifest,
    ManifestError,
    check_sealed,
    pack,
    pack_dataset,
    seal_dataset,
    seal_to_shards,
)
from mmppvit.sealed.repair import repair_dataset
from tests.sealed.jobs import content_of, make_job, two_scales

SHARD_BYTES = 10_000


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(seal_to_shards, 'SHARD_BYTES', SHARD_BYTES)


@pytest.fixture(scope='module')
def packed(whole, key, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'sealed'
    pack_dataset(Manifest.load(whole), key, out, SHARD_BYTES)
    return out


def _job(plain, out, key):
    return two_scales(plain, out, key, container='wds')


def test_the_same_bytes_in_little_more_room(plain, whole, packed, key, tmp_path, monkeypatch):
    room = []

    def remove(root, files, remove=seal_to_shards._remove):
        sizes = [path.stat().st_size for path in root.rglob('*') if path.suffix in ('.png', '.tar')]
        room.append(sum(sizes))
        remove(root, files)

    monkeypatch.setattr(seal_to_shards, '_remove', remove)
    steps = {'seal': [], 'pack': []}
    report = seal_dataset(_job(plain, tmp_path / 'sealed', key),
                          progress=lambda *step: steps['seal'].append(step),
                          packing=lambda *step: steps['pack'].append(step))
    assert (report.written, report.complete, report.skipped) == (16, True, [])
    assert steps == {'seal': [(i, 8) for i in range(9)], 'pack': [(i, 16) for i in range(17)]}
    assert content_of(tmp_path / 'sealed') == content_of(packed)
    assert len(room) > 2
    assert max(room) < sum(image.bytes for image in Manifest.load(whole).images) + 3 * SHARD_BYTES


@pytest.mark.parametrize('options', [dict(seal_metadata=True), dict(key=None)], ids=str)
def test_other_sets(plain, key, tmp_path, options):
    key = options.pop('key', key)
    for container in ('folder', 'wds'):
        seal_dataset(make_job(plain, tmp_path / container, key, container=container, name='a',
                              **options))
    pack_dataset(Manifest.load(tmp_path / 'folder'), key, tmp_path / 'packed', SHARD_BYTES)
    assert content_of(tmp_path / 'wds') == content_of(tmp_path / 'packed')
    assert check_sealed(tmp_path / 'wds', key).problems == []


STEPS = [(pack, '_write_shard', 0), (pack, '_write_shard', 2), (seal_to_shards, '_remove', 0),
         (seal_to_shards, '_remove', 1), (pack, 'write_index', 0), (Manifest, 'save', 0),
         ('writer', 'remove_leftovers', 0)]


@pytest.mark.parametrize('after', [False, True])
@pytest.mark.parametrize(('module', 'name', 'times'), STEPS, ids=lambda value: str(value)[-24:])
@pytest.mark.parametrize('with_key', [True, False])
def test_killed_while_images_move(plain, packed, key, tmp_path, monkeypatch, module, name, times,
                                  after, with_key):
    """At a step for the first time or later, before or after it is taken."""
    if module == 'writer':
        from mmppvit.sealed import writer as module
    step, left = getattr(module, name), times

    def mortal(*args):
        nonlocal left
        left -= 1
        if left < 0 and not after:
            raise KeyboardInterrupt
        result = step(*args)
        if left < 0:
            raise KeyboardInterrupt
        return result

    job = _job(plain, tmp_path / 'sealed', key) if with_key else \
        make_job(plain, tmp_path / 'sealed', container='wds')
    with monkeypatch.context() as patch:
        patch.setattr(module, name, mortal)
        with pytest.raises(KeyboardInterrupt):
            seal_dataset(job)
    report = seal_dataset(job, resume=True)
    assert report.complete
    if with_key:  # nothing is sealed twice
        assert (report.written, report.kept) == (0, 16)
        assert content_of(job.out) == content_of(packed)
    assert check_sealed(job.out, job.key).problems == []


def test_an_image_that_is_damaged_on_the_way(plain, packed, key, tmp_path, monkeypatch):
    def damage(path, contents, write=pack._write_shard):
        result = write(path, contents)
        path.write_bytes(bytes(result[0]))
        return result

    job = _job(plain, tmp_path / 'sealed', key)
    with monkeypatch.context() as patch:
        patch.setattr(pack, '_write_shard', damage)
        patch.setattr(pack, 'write_index', lambda *_: exec('raise KeyboardInterrupt'))
        with pytest.raises(KeyboardInterrupt):
            seal_dataset(job)
    with pytest.raises(ManifestError, match=r'damaged after it was sealed: remove .*shards'):
        seal_dataset(job, resume=True)
    shutil.rmtree(job.out / 'shards')
    assert seal_dataset(job, resume=True).written == 16
    assert content_of(job.out) == content_of(packed)


def test_what_is_finished(plain, whole, packed, key, tmp_path):
    out = shutil.copytree(packed, tmp_path / 'sealed')
    job = _job(plain, out, key)
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept, report.complete) == (0, 16, True)
    with pytest.raises(ValueError, match='cannot be updated'):
        seal_dataset(job, update=True)
    with pytest.raises(ValueError, match='cannot be resumed'):
        seal_dataset(replace(job, container='folder'), resume=True)
    (out / 'shards/000000.tar').write_bytes(b'')
    (out / '.sealing').mkdir()  # of a run that was killed after its manifest
    with pytest.raises(ValueError, match=r'000000\.tar is missing or of another length: shards'):
        seal_dataset(job, resume=True)
    assert not (out / '.sealing').exists()
    shutil.copytree(whole, tmp_path / 'folder')
    with pytest.raises(ValueError, match='is a finished folder: mmppvit pack'):
        seal_dataset(_job(plain, tmp_path / 'folder', key), resume=True)
    with pytest.raises(ValueError, match="container 'zip' is none of"):
        replace(job, container='zip')


def test_a_folder_is_not_made_of_half_the_shards(plain, key, tmp_path, monkeypatch):
    job = _job(plain, tmp_path / 'sealed', key)
    with monkeypatch.context() as patch:
        patch.setattr(pack, 'write_index', lambda *_: exec('raise KeyboardInterrupt'))
        with pytest.raises(KeyboardInterrupt):
            seal_dataset(job)
    with pytest.raises(ValueError, match='started with --container wds: give it again'):
        seal_dataset(replace(job, container='folder'), resume=True)


def test_shards_of_two_machines(plain, packed, key, tmp_path):
    job = _job(plain, tmp_path / 'sealed', key)
    assert not seal_dataset(replace(job, shard=(1, 2))).complete
    assert seal_dataset(replace(job, shard=(0, 2))).complete
    assert content_of(job.out) == content_of(packed)


def test_the_command(plain, key, tmp_path, capsys):
    arguments = ['--img-dir', str(plain / 'images'), '--ann', str(plain / 'ann.json'), '--out',
                 str(tmp_path / 'set'), '--scheme', 'mix+shuffle', '--key-file', str(key.path),
                 '--container', 'wds']
    assert main(['seal', *arguments]) == 0
    shown = capsys.readouterr().err
    assert 'Sealing' in shown
    assert 'Packing' in shown
    assert main(['verify', str(tmp_path / 'set'), '--key-file', str(key.path)]) == 0
    assert main(['seal', *arguments, '--resume']) == 0
    assert '0 files written, 8 kept' in capsys.readouterr().out
    assert {path.name for path in (tmp_path / 'set').iterdir()} == {
        'annotations.json', 'entries.index', 'entries.jsonl', 'entries.tree', 'manifest.json',
        'shards'}


@pytest.mark.parametrize('state', ['finished', 'damaged', 'interrupted'])
def test_repair_leaves_shards_alone(plain, packed, key, tmp_path, monkeypatch, state):
    job = _job(plain, tmp_path / 'sealed', key)
    if state == 'interrupted':
        with monkeypatch.context() as patch:
            patch.setattr(pack, 'write_index', lambda *_: exec('raise KeyboardInterrupt'))
            with pytest.raises(KeyboardInterrupt):
                seal_dataset(job)
    else:
        shutil.copytree(packed, job.out)
    if state == 'damaged':
        (job.out / 'manifest.json').write_text('{')
    before = content_of(job.out)
    with pytest.raises(ValueError, match=r'packed into shards.*seal --container wds --resume'):
        repair_dataset(replace(job, container='folder'))
    assert content_of(job.out) == before
    if state == 'interrupted':
        assert seal_dataset(job, resume=True).written == 0


def test_a_link_is_not_followed(plain, key, tmp_path):
    job, other = _job(plain, tmp_path / 'sealed', key), tmp_path / 'other'
    other.mkdir()
    (other / 'thesis.txt').write_text('years of work')
    job.out.mkdir()
    (job.out / '.sealing').mkdir()
    (job.out / 'shards').symlink_to(other)
    with pytest.raises(ValueError, match='shards is a link: remove it'):
        seal_dataset(job, resume=True)
    assert [path.name for path in other.iterdir()] == ['thesis.txt']
    (job.out / 'shards').unlink()
    assert seal_dataset(job, resume=True).complete
