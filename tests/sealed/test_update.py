"""A finished set that gets other images: as if sealed at once, and whole at every moment."""
from __future__ import annotations

import json
import os
import random
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmppvit.cli.app import main
from mmppvit.encryption import Key, Scheme
from mmppvit.sealed import (
    MANIFEST,
    Manifest,
    ManifestError,
    check_sealed,
    pack_dataset,
    seal_dataset,
    staging,
)
from mmppvit.sealed.dry_run import plan_sealing
from mmppvit.sealed.journal import locked
from mmppvit.sealed.resume import make_plan
from mmppvit.sealed.sources import forget_annotations
from tests.sealed.jobs import FORK, content_of, make_job, seal_and_exit
from tests.sealed.power import Disk

LOSSES = int(os.environ.get('MMPPVIT_POWER_LOSSES', 40))
FIRST, ADDED = (1, 2, 3, 5), (6, 7)  # ids of images; 2 changes and 3 goes away


def _write_json(folder: Path, data: dict, ids: set[int], name: str) -> Path:
    path = folder / name
    path.write_text(json.dumps(data | dict(
        images=[item for item in data['images'] if item['id'] in ids],
        annotations=[item for item in data['annotations'] if item['image_id'] in ids])))
    return path


@pytest.fixture
def folder(plain, tmp_path) -> Path:
    """Images with first.json and second.json; `_change` changes one of them."""
    copied = shutil.copytree(plain, tmp_path / 'plain')
    data = json.loads((copied / 'ann.json').read_text())
    _write_json(copied, data, set(FIRST), 'first.json')
    _write_json(copied, data, {*FIRST, *ADDED} - {3}, 'second.json')
    _write_json(copied, data, {*FIRST, *ADDED}, 'more.json')
    return copied


def _change(folder: Path) -> None:
    path = folder / 'images/000000000002.png'
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))


def _job(folder: Path, out: Path, key: Key | None, name: str = 'second', **options):
    return make_job(folder, out, key, ann_file=folder / f'{name}.json', name='set', **options)


def _same_but_counter(one: Path, other: Path) -> None:
    a, b = Manifest.load(one), Manifest.load(other)
    assert (a.images, a.annotations, a.job) == (b.images, b.annotations, b.job)
    assert {name: digest for name, digest in content_of(one).items() if name != MANIFEST} == \
        {name: digest for name, digest in content_of(other).items() if name != MANIFEST}


@pytest.mark.parametrize('options', [{'seal_metadata': True}, {'pseudonyms': True},
                                     {'scales': ((96, 64), (64, 48))}], ids=str)
@pytest.mark.parametrize('with_key', [True, False])
def test_as_if_sealed_at_once(folder, key, tmp_path, with_key, options):
    if not with_key and {'seal_metadata', 'pseudonyms'} & set(options):
        pytest.skip('needs a key')
    key = key if with_key else None
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first', **options))
    _change(folder)
    report = seal_dataset(_job(folder, tmp_path / 'set', key, **options), update=True, remove=True)
    scales = len(options.get('scales', '1'))
    assert (report.written, report.kept, report.complete) == (3 * scales, 2 * scales, True)
    assert len(report.removed) == 1
    assert Manifest.load(tmp_path / 'set').counter == 2
    assert check_sealed(tmp_path / 'set', key).problems == []
    seal_dataset(_job(folder, tmp_path / 'other', key, counter=2, **options))
    if options.get('seal_metadata'):  # the same entries, but the MAC of the first
        assert content_of(tmp_path / 'set') == content_of(tmp_path / 'other')
    else:
        _same_but_counter(tmp_path / 'set', tmp_path / 'other')
    again = seal_dataset(_job(folder, tmp_path / 'set', key, **options), update=True)
    assert (again.written, again.kept, again.removed) == (0, 5 * scales, [])
    assert Manifest.load(tmp_path / 'set').counter == 2
    assert seal_dataset(_job(folder, tmp_path / 'set', key, **options), True).written == 0


def test_nothing_goes_unasked(folder, key, tmp_path):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    before = content_of(tmp_path / 'set')
    with pytest.raises(ValueError, match=r"1 images .* '000000000003.png': --remove takes them"):
        seal_dataset(_job(folder, tmp_path / 'set', key), update=True)
    assert content_of(tmp_path / 'set') == before
    (folder / 'images/000000000002.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match='cannot be sealed again'):
        seal_dataset(_job(folder, tmp_path / 'set', key, 'more'), update=True)
    assert {name: digest for name, digest in content_of(tmp_path / 'set').items()
            if not name.startswith('.sealing')} == before
    problem, = check_sealed(tmp_path / 'set', key).problems
    assert 'a run that seals is at work' in problem
    report = seal_dataset(_job(folder, tmp_path / 'set', key, 'more'), update=True, remove=True)
    assert report.removed == ['000000000002.png']
    assert [name for name, _ in report.skipped] == ['000000000002.png']
    assert check_sealed(tmp_path / 'set', key).problems == []


def test_plain_images_that_are_kept_elsewhere(folder, key, tmp_path):
    """The key's holder need not have the plain images of what stays."""
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    seal_dataset(_job(folder, tmp_path / 'mix', None, 'first', scheme=Scheme('mix')))
    (folder / 'images/000000000001.png').unlink()
    report = seal_dataset(_job(folder, tmp_path / 'set', key, 'more'), update=True)
    assert (report.written, report.kept, report.removed) == (2, 4, [])
    assert any('1 plain images are not there, e.g. 000000000001.png' in text
               for text in report.remarks)
    with pytest.raises(ValueError, match='cannot be sealed again'):
        seal_dataset(_job(folder, tmp_path / 'mix', None, 'more', scheme=Scheme('mix')),
                     update=True)


@pytest.mark.parametrize(('options', 'message'), [
    ({'scheme': Scheme('mix+shuffle', grid=4)}, '--scheme'),
    ({'scales': ((64, 48), )}, '--scale'),
    ({'image_format': 'webp'}, '--format png'),
    ({'role': 'val'}, '--role'),
    ({'padding': 'zero'}, None),
    ({'pseudonyms': True}, '--pseudonyms False'),
    ({'seal_metadata': True}, '--seal-metadata False'),
])
def test_other_options_are_refused(folder, key, tmp_path, options, message):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    before = content_of(tmp_path / 'set')
    with pytest.raises(ValueError, match=message or '--padding fit'):
        seal_dataset(_job(folder, tmp_path / 'set', key, **options), update=True, remove=True)
    assert content_of(tmp_path / 'set') == before


def test_what_cannot_be_updated(folder, key, tmp_path):
    with pytest.raises(ValueError, match='no finished data set to update'):
        seal_dataset(_job(folder, tmp_path / 'set', key), update=True)
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    pack_dataset(Manifest.load(tmp_path / 'set'), key, tmp_path / 'packed')
    with pytest.raises(ValueError, match='update the folder that it was packed from and pack'):
        seal_dataset(_job(folder, tmp_path / 'packed', key), update=True)
    path = tmp_path / 'set' / MANIFEST
    path.write_text(path.read_text().replace('"counter": 1', '"counter": 2'))
    with pytest.raises(ManifestError, match='was edited'):
        seal_dataset(_job(folder, tmp_path / 'set', key), update=True)


def test_another_window_is_noticed(tmp_path, key):
    """It does not show in the manifest."""
    (tmp_path / 'images').mkdir()
    for name in 'ab':
        img = np.random.default_rng(ord(name)).integers(0, 4000, (64, 64), np.uint16)
        cv2.imwrite(str(tmp_path / f'images/{name}.png'), img)

    def job(window):
        return make_job(tmp_path, tmp_path / 'set', key, ann_file=None, window=window)

    seal_dataset(job((0, 4000)))
    shutil.copy(tmp_path / 'images/a.png', tmp_path / 'images/c.png')
    with pytest.raises(ValueError, match='give the --window'):
        seal_dataset(job((0, 2000)), update=True)
    assert seal_dataset(job((0, 4000)), update=True).written == 1


@pytest.mark.parametrize('with_key', [True, False])
def test_a_dry_run_says_what_would_be_done(folder, key, tmp_path, with_key):
    key = key if with_key else None
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    _change(folder)
    before = content_of(tmp_path)
    plan = plan_sealing(_job(folder, tmp_path / 'set', key), update=True, remove=True)
    assert content_of(tmp_path) == before
    assert plan.removed == ['000000000003.png']
    assert plan.changed == ['000000000002.png']
    assert len(plan.added) == 2
    assert plan.images == 3
    seal_dataset(_job(folder, tmp_path / 'set', key), update=True, remove=True)


def test_a_dry_run_names_what_opencv_cannot_scale(folder, tmp_path, monkeypatch):
    """Its error is of no kind of Python's."""
    def fail(*_):
        raise cv2.error('dst.size() != src.size()')

    seal_dataset(_job(folder, tmp_path / 'set', None, 'first'))
    monkeypatch.setattr('mmppvit.sealed.dry_run.seal_image', fail)
    plan = plan_sealing(_job(folder, tmp_path / 'set', None, 'first'), update=True)
    assert {reason for _, reason in plan.problems} == {'OpenCV cannot scale or store its pixels'}


def test_shards_update_together(folder, key, tmp_path):
    for name in ('set', 'one'):
        seal_dataset(_job(folder, tmp_path / name, key, 'first'))
    _change(folder)
    children = [FORK.Process(target=seal_and_exit, args=(
        _job(folder, tmp_path / 'set', key, shard=(i, 3)), ), kwargs=dict(
            update=True, remove=True)) for i in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    seal_dataset(_job(folder, tmp_path / 'one', key), update=True, remove=True)
    assert content_of(tmp_path / 'set') == content_of(tmp_path / 'one')


def _die(*args, **kwargs):
    raise KeyboardInterrupt


def test_another_update_takes_the_place_of_an_interrupted_one(folder, key, tmp_path, monkeypatch):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    before = content_of(tmp_path / 'set')
    _change(folder)
    monkeypatch.setattr('mmppvit.sealed.writer.commit', _die)
    with pytest.raises(KeyboardInterrupt):
        seal_dataset(_job(folder, tmp_path / 'set', key, 'more'), update=True)
    monkeypatch.undo()
    assert (tmp_path / 'set/.sealing/next/images/000000000002.png').exists()
    assert {name: digest for name, digest in content_of(tmp_path / 'set').items()
            if not name.startswith('.sealing')} == before
    seal_dataset(_job(folder, tmp_path / 'set', key), update=True, remove=True)
    seal_dataset(_job(folder, tmp_path / 'other', key, counter=2))
    _same_but_counter(tmp_path / 'set', tmp_path / 'other')


def test_a_complete_state_is_put_in_place_by_the_next_run(folder, key, tmp_path, monkeypatch):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    old = shutil.copytree(tmp_path / 'set', tmp_path / 'old')
    _change(folder)
    monkeypatch.setattr('mmppvit.sealed.writer.put_in_place', _die)
    with pytest.raises(KeyboardInterrupt):
        seal_dataset(_job(folder, tmp_path / 'set', key), update=True, remove=True)
    monkeypatch.undo()
    assert Manifest.load(tmp_path / 'set').counter == 1
    with pytest.raises(ValueError, match='complete and not in place'):
        plan_sealing(_job(folder, tmp_path / 'set', key), update=True, remove=True)
    edited = shutil.copytree(tmp_path / 'set', tmp_path / 'edited')
    path = edited / '.sealing/next/images/000000000002.png'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    with pytest.raises(ManifestError, match='not what was sealed'):
        seal_dataset(_job(folder, edited, key), update=True)
    shutil.copytree(old, tmp_path / 'set2' / '.sealing/next')  # an older copy, well signed
    shutil.copytree(tmp_path / 'set', tmp_path / 'set2', dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns('.sealing'))
    report = seal_dataset(_job(folder, tmp_path / 'set', key), True)
    assert (report.written, report.kept, Manifest.load(tmp_path / 'set').counter) == (0, 5, 2)
    assert not (tmp_path / 'set/images/000000000003.png').exists()
    shutil.copytree(old, tmp_path / 'set' / '.sealing/next')
    with pytest.raises(ManifestError, match='has counter 1'):
        seal_dataset(_job(folder, tmp_path / 'set', key), True)


def _interrupted(folder: Path, out: Path, key: Key | None, monkeypatch, place: str,
                 name: str = 'more') -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f'mmppvit.sealed.{place}', _die)
        with pytest.raises(KeyboardInterrupt):
            seal_dataset(_job(folder, out, key, name), update=True, remove=True)


def test_what_a_killed_update_left_hides_nothing(folder, key, tmp_path, monkeypatch):
    """Of an image that it changed, and whose plain file is gone now."""
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    before = content_of(tmp_path / 'set')
    plain = (folder / 'images/000000000002.png').read_bytes()
    _change(folder)
    _interrupted(folder, tmp_path / 'set', key, monkeypatch, 'writer.commit')
    (folder / 'images/000000000002.png').unlink()
    left = shutil.copytree(tmp_path / 'set', tmp_path / 'left')
    for path in left.glob('.sealing/*.jsonl'):  # as if it was not on the disk
        path.unlink()
    # Killed once more, while it takes away what the other one staged.
    _interrupted(folder, tmp_path / 'set', key, monkeypatch, 'resume.shutil.rmtree', 'second')
    for out in (tmp_path / 'set', left):
        report = seal_dataset(_job(folder, out, key), update=True, remove=True)
        assert report.removed == ['000000000003.png']
        assert check_sealed(out, key).problems == []
        assert content_of(out)['images/000000000002.png'] == before['images/000000000002.png']
    (folder / 'images/000000000002.png').write_bytes(plain)
    assert seal_dataset(_job(folder, left, key), update=True).written == 0


def test_parts_do_not_take_away_what_another_part_staged(folder, key, tmp_path, monkeypatch):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    _interrupted(folder, tmp_path / 'set', key, monkeypatch, 'writer.commit')
    work = tmp_path / 'set/.sealing'
    with locked(work / 'start.lock'):  # another part takes away what is left, then stages
        part = threading.Thread(target=make_plan, args=(
            _job(folder, tmp_path / 'set', key, shard=(1, 2)), False, True, True))
        part.start()
        part.join(.3)
        assert part.is_alive()  # it waits, and has not looked at what is left
        for path in work.glob('*.jsonl'):
            path.unlink(missing_ok=True)
        staged = work / 'next/images/000000000006.png'
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(b'staged')
    part.join()
    assert staged.exists()


def test_a_file_that_is_nowhere_is_noticed_before_anything_changes(folder, key, tmp_path,
                                                                   monkeypatch):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    before = content_of(tmp_path / 'set')
    _change(folder)
    _interrupted(folder, tmp_path / 'set', key, monkeypatch, 'writer.put_in_place')
    (tmp_path / 'set/.sealing/next/images/000000000002.png').unlink()
    with pytest.raises(ManifestError, match=r'000000000002\.png is neither in'):
        seal_dataset(_job(folder, tmp_path / 'set', key, 'more'), update=True)
    assert {name: digest for name, digest in content_of(tmp_path / 'set').items()
            if not name.startswith('.sealing')} == before


def test_a_signed_set_changes_with_its_key_only(folder, key, tmp_path, monkeypatch):
    mix = Scheme('mix')
    for name, its_key in (('signed', key), ('open', None)):
        seal_dataset(_job(folder, tmp_path / name, its_key, 'first', scheme=mix))
    before = content_of(tmp_path / 'signed')
    shutil.copytree(tmp_path / 'open', tmp_path / 'signed/.sealing/next')
    for its_key, message in ((None, 'is signed, and'), (key, 'without a key')):
        with pytest.raises(ManifestError, match=message):
            seal_dataset(_job(folder, tmp_path / 'signed', its_key, 'first', scheme=mix), True)
    shutil.rmtree(tmp_path / 'signed/.sealing')
    assert content_of(tmp_path / 'signed') == before


def test_nothing_is_staged_through_a_link(folder, key, tmp_path):
    seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'set/.sealing').mkdir()
    (tmp_path / 'set/.sealing/next').symlink_to(tmp_path / 'elsewhere')
    _change(folder)
    for options in ({'update': True, 'remove': True}, {'resume': True}):
        name = 'second' if 'update' in options else 'first'
        with pytest.raises(ValueError, match='next is a link: remove it'):
            seal_dataset(_job(folder, tmp_path / 'set', key, name), **options)
    assert not any((tmp_path / 'elsewhere').iterdir())


def test_a_json_that_vanishes_is_told(folder, key, tmp_path, monkeypatch):
    """And not taken for another part that has finished."""
    def forget():
        forget_annotations()
        (folder / 'first.json').unlink(missing_ok=True)

    monkeypatch.setattr('mmppvit.sealed.writer.forget_annotations', forget)
    with pytest.raises(FileNotFoundError, match=r'first\.json'):
        seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))


def test_a_json_that_changes_is_told(folder, key, tmp_path, monkeypatch):
    """Its boxes would be signed with a digest of other ones."""
    def forget():
        forget_annotations()
        path = folder / 'first.json'
        path.write_text(path.read_text().replace('"bbox": [', '"bbox": [1'))

    monkeypatch.setattr('mmppvit.sealed.writer.forget_annotations', forget)
    with pytest.raises(ValueError, match=r'first\.json has changed since sealing began'):
        seal_dataset(_job(folder, tmp_path / 'set', key, 'first'))
    assert not (tmp_path / 'set/manifest.json').exists()


@pytest.mark.parametrize('with_key', [True, False])
def test_power_is_lost_at_any_step_of_an_update(folder, key, tmp_path, with_key):
    key = key if with_key else None
    rng, done, run = random.Random(with_key), 0, 0
    seal_dataset(_job(folder, tmp_path / 'first', key, 'first'))
    old = Manifest.load(tmp_path / 'first')
    _change(folder)
    new = shutil.copytree(tmp_path / 'first', tmp_path / 'new')
    seal_dataset(_job(folder, new, key), update=True, remove=True)
    seen = set()
    while done < LOSSES // 5:
        out, states = shutil.copytree(tmp_path / 'first', tmp_path / f'{run}/out'), []

        def at_step(disk, states=states, run=run):
            if rng.random() < 1 / 20:
                states.append(tmp_path / f'{run}/lost/{len(states)}')
                disk.after_loss(states[-1], rng)

        Disk(out, at_step).run(lambda out=out: seal_dataset(
            _job(folder, out, key), update=True, remove=True))
        for state in states:
            manifest = Manifest.load(state)  # there always is one
            assert manifest.counter in (1, 2)
            if manifest.counter == 1 and not staging.is_committed(state):
                assert manifest.images == old.images  # and all of it is there
                assert [problem.file for problem in check_sealed(state, key).problems] in (
                    [], ['.sealing'])
                seen.add('old')
            seen.add(manifest.counter)
            seal_dataset(_job(folder, state, key), update=True, remove=True)
            assert content_of(state) == content_of(new)
            shutil.rmtree(state)
            done += 1
        run += 1
    assert {1, 2, 'old'} <= seen


def test_the_command(folder, key, tmp_path, capsys):
    def run(name: str, *more: str) -> int:
        return main(['seal', '--img-dir', str(folder / 'images'), '--ann',
                     str(folder / f'{name}.json'), '--out', str(tmp_path / 'set'), '--scheme',
                     'mix+shuffle', '--key-file', str(key._path), *more])

    assert run('first') == 0
    assert run('second', '--resume') == 2
    assert '--update it' in capsys.readouterr().err
    assert run('second', '--update') == 2
    assert '--remove takes them out' in capsys.readouterr().err
    assert run('second', '--update', '--remove', '--dry-run') == 0
    out = capsys.readouterr().out
    assert '2 added, 0 sealed again, 1 removed' in out
    assert run('second', '--update', '--remove') == 0
    assert '1 removed' in capsys.readouterr().out
    assert run('second', '--remove') == 2
    assert 'give --update' in capsys.readouterr().err
