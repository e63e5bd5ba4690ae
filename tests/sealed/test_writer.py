"""Sealing: what comes out, and that nothing that interrupts it changes that."""
from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from mmppvit.datasets.drawn_shapes import write_drawn_shapes
from mmppvit.encryption import SCHEMES, Key, Scheme
from mmppvit.sealed import ANNOTATIONS, Manifest, SealJob, seal_dataset, verify_sealed, writer
from mmppvit.sealed.journal import Journal

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

FORK = multiprocessing.get_context('fork')
SIZE = (80, 64)


@pytest.fixture(scope='module')
def key(tmp_path_factory) -> Key:
    return Key.create(tmp_path_factory.mktemp('keys') / 'owner.key')


@pytest.fixture(scope='module')
def plain(tmp_path_factory) -> Path:
    """Folder with 8 pictures, four of them in sub-folders, and ann.json."""
    root = tmp_path_factory.mktemp('plain')
    drawn = write_drawn_shapes(root / 'set', 8, 1, SIZE)
    data = json.loads((drawn / 'annotations/instances_train2017.json').read_text())
    for item in data['images'][4:]:
        name = f'sub/deeper/{item["id"]}.jpg'
        (root / 'pictures' / name).parent.mkdir(parents=True, exist_ok=True)
        img = cv2.imread(str(drawn / 'train2017' / item['file_name']))
        cv2.imwrite(str(root / 'pictures' / name), img)
        item['file_name'] = name
    for item in data['images'][:4]:
        shutil.move(drawn / 'train2017' / item['file_name'], root / 'pictures')
    data['annotations'][0]['iscrowd'] = 1
    (root / 'ann.json').write_text(json.dumps(data))
    return root


def _job(plain: Path, out: Path, key: Key | None = None, scheme: Scheme | None = None,
         **options) -> SealJob:
    options = {'ann_file': plain / 'ann.json', **options}
    scheme = scheme or Scheme('mix+shuffle' if key else 'mix')
    return SealJob(plain / 'pictures', out, scheme, key=key, **options)


def _scheme(name: str, **options) -> Scheme:
    return Scheme(name, grid=2 if 'mix' in name else 1,
                  center_strength=1. if 'center' in name else 0., **options)


def _content(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file() else '' for path in sorted(root.rglob('*'))}


@pytest.fixture(scope='module')
def whole(plain, key, tmp_path_factory) -> Path:
    """What an uninterrupted run makes, at two scales and with the key."""
    out = tmp_path_factory.mktemp('whole') / 'sealed'
    report = seal_dataset(_job(plain, out, key, scales=((96, 64), (64, 48))))
    assert (report.written, report.kept, report.skipped, report.complete) == (16, 0, [], True)
    return out


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize('name', SCHEMES)
@pytest.mark.parametrize(('scales', 'picture_format'), [
    ((None, ), 'png'), (((120, 70), (64, 64)), 'webp'),
], ids=['as-they-are', 'two-scales'])
def test_files_are_the_encrypted_pictures(plain, key, tmp_path, name, scales, picture_format):
    scheme = _scheme(name)
    job = _job(plain, tmp_path / 'out', key if scheme.shuffles else None, scheme, scales=scales,
               picture_format=picture_format)
    assert seal_dataset(job).complete
    manifest = Manifest.load(job.out)
    assert (manifest.scheme, manifest.scales) == (scheme, list(scales))
    assert len(manifest.pictures) == 8 * len(scales)
    for picture in manifest.pictures:
        img = mmcv.imread(plain / 'pictures' / picture.source)
        assert picture.plain == img.shape[1::-1]
        if scales[picture.scale] is not None:
            img = mmcv.imrescale(img, scales[picture.scale])
        assert picture.scaled == img.shape[1::-1]
        expected = scheme.encrypt(img, job.key, picture.file)
        found = cv2.imread(str(job.out / picture.file))
        np.testing.assert_array_equal(found, expected.img)
        assert picture.nonce == (expected.nonce or b'').hex()
        assert manifest.read(picture) == (job.out / picture.file).read_bytes()


def test_the_json_keeps_boxes_in_the_plain_frame(plain, whole):
    before = json.loads((plain / 'ann.json').read_text())
    after = Manifest.load(whole).read_annotations()
    assert after['annotations'] == before['annotations']
    assert after['categories'] == before['categories']
    assert after['images'] == [
        item | dict(file_name=str(Path(item['file_name']).with_suffix('.png')))
        for item in before['images']]


def test_any_reader_can_open_it(plain, whole):
    """pycocotools, OpenCV and json; nothing of this package."""
    manifest = json.loads((whole / 'manifest.json').read_text())
    coco, before = COCO(whole / 'annotations.json'), COCO(plain / 'ann.json')
    patch, grid = manifest['scheme']['patch_size'], manifest['scheme']['grid']
    by_file = {item['file']: item for item in manifest['pictures']}
    for image in coco.loadImgs(coco.getImgIds()):
        for folder in ('images_96x64', 'images_64x48'):
            item = by_file[f'{folder}/{image["file_name"]}']
            img = cv2.imread(str(whole / item['file']))
            assert list(img.shape[1::-1]) == item['size']
            assert item['size'] == [-(-side // patch) * patch // grid for side in item['scaled']]
            assert item['plain'] == [image['width'], image['height']]
            for ann, old in zip(*(c.imgToAnns[image['id']] for c in (coco, before)), strict=True):
                assert ann['bbox'] == old['bbox']
                corner = [ann['bbox'][k] + ann['bbox'][k + 2] for k in (0, 1)]
                x, y = (at * item['scaled'][k] / item['plain'][k] / grid
                        for k, at in enumerate(corner))
                assert 0 < x <= img.shape[1] + .01
                assert 0 < y <= img.shape[0] + .01


def test_a_box_lies_over_the_same_thing(tmp_path):
    """A white square on black: its box times scaled / plain / grid is where it is."""
    (tmp_path / 'pictures').mkdir()
    img = np.zeros((64, 96, 3), np.uint8)
    img[16:48, 32:80] = 255
    cv2.imwrite(str(tmp_path / 'pictures/a.png'), img)
    (tmp_path / 'ann.json').write_text(json.dumps(dict(
        images=[dict(id=1, file_name='a.png', width=96, height=64)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[32, 16, 48, 32], area=1)])))
    seal_dataset(_job(tmp_path, tmp_path / 'out', scales=((192, 128), )))
    sealed = cv2.imread(str(tmp_path / 'out/images/a.png'))
    ys, xs = np.nonzero(sealed[..., 0] > 127)
    box = np.array([32, 16, 80, 48]) * (192 / 96) / 2
    # A patch of 8 pixels is what mixing leaves of position.
    assert np.abs(np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) - box).max() <= 1


def test_a_folder_without_annotations(plain, tmp_path):
    (tmp_path / 'pictures').mkdir()
    for name in ('a.jpg', 'a.png', '.tmp-b.png'):
        cv2.imwrite(str(tmp_path / 'pictures' / name), np.zeros((20, 30, 3), np.uint8))
    seal_dataset(_job(tmp_path, tmp_path / 'out', ann_file=None))
    assert list(_content(tmp_path / 'out')) == [
        'images', 'images/.tmp-b.png', 'images/a.jpg.png', 'images/a.png.png', 'manifest.json']
    assert not list(verify_sealed(tmp_path / 'out'))


def test_fields_that_tell_too_much_are_left_out(plain, tmp_path):
    shutil.copytree(plain / 'pictures', tmp_path / 'pictures')
    data = json.loads((plain / 'ann.json').read_text())
    data['images'][0]['flickr_url'] = 'http://secret'
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    report = seal_dataset(_job(tmp_path, tmp_path / 'out'))
    assert report.dropped_fields == ['images.flickr_url', 'info (whole)', 'licenses (whole)']
    assert b'secret' not in (tmp_path / 'out' / ANNOTATIONS).read_bytes()


@pytest.mark.parametrize('picture_format', ['png', 'webp'])
def test_metadata_of_the_camera_is_gone(tmp_path, picture_format):
    """GPS and thumbnail; a turned picture is sealed as MMDetection loads it, if its json fits."""
    (tmp_path / 'pictures').mkdir()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, 'SecretCamera'  # turned by 90 degrees; maker
    exif.get_ifd(0x8825)[1] = 'N'  # GPS
    img = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8))
    images = []
    for i, (name, size) in enumerate({'good.jpg': (32, 48), 'bad.jpg': (48, 32)}.items()):
        img.save(tmp_path / 'pictures' / name, exif=exif)
        images.append(dict(id=i, file_name=name, width=size[0], height=size[1]))
    assert b'SecretCamera' in (tmp_path / 'pictures/good.jpg').read_bytes()
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=images, annotations=[])))
    report = seal_dataset(_job(tmp_path, tmp_path / 'out', picture_format=picture_format))
    ((name, reason), ) = report.skipped
    assert name == 'bad.jpg'
    assert '32x48 (after its EXIF turn' in reason
    assert '48x32' in reason
    (sealed, ) = (tmp_path / 'out/images').iterdir()
    content = sealed.read_bytes()
    assert not [word for word in (b'Secret', b'Exif', b'eXIf', b'EXIF', b'JFIF') if word in content]
    with Image.open(sealed) as found:
        assert not found.getexif()
    expected = Scheme('mix').encrypt(mmcv.imread(tmp_path / 'pictures/good.jpg')).img
    np.testing.assert_array_equal(cv2.imread(str(sealed)), expected)
    assert not list(verify_sealed(tmp_path / 'out'))


# --- the same bytes, however it is done ----------------------------------------------------------


def _two_scales(plain, out, key, **options):
    return _job(plain, out, key, scales=((96, 64), (64, 48)), **options)


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
@pytest.mark.parametrize('workers', [0, 2])
def test_shards_and_workers_make_the_same_bytes(plain, key, whole, tmp_path, order, workers):
    for i, shard in enumerate(order):
        done = []
        report = seal_dataset(_two_scales(plain, tmp_path / 'out', key, shard=(shard, 2)),
                              num_workers=workers, progress=lambda *a, done=done: done.append(a))
        assert (report.written, report.complete) == (8, i == 1)
        assert done == [(k, 4) for k in range(5)]
    assert _content(tmp_path / 'out') == _content(whole)


def _quiet(job: SealJob, **options) -> None:
    """Seal in a forked process; its exit status is 0, 1 for an error, or it was killed."""
    try:
        seal_dataset(job, **options)
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.parametrize('num', [2, 4])
def test_shards_at_the_same_time(plain, key, whole, tmp_path, num):
    children = [FORK.Process(target=_quiet, args=(_two_scales(
        plain, tmp_path / 'out', key, shard=(i, num)), )) for i in range(num)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * num
    assert _content(tmp_path / 'out') == _content(whole)


def test_one_process_a_shard(plain, tmp_path):
    job = _job(plain, tmp_path / 'out')
    with Journal(job.out, job.shard, ''), \
            pytest.raises(ValueError, match='another process is sealing'):
        seal_dataset(job, resume=True)
    assert seal_dataset(job, resume=True).complete


# --- interruptions -------------------------------------------------------------------------------

STEPS = ('os.replace', 'os.chmod', 'pathlib.Path.write_bytes', 'tempfile.mkstemp', 'os.unlink',
         'mmppvit.sealed.journal.Journal.add', 'mmppvit.sealed.journal.Journal.finish',
         'shutil.rmtree')


def _die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(job: SealJob, seed: int, resume: bool) -> None:
    """Seal, and die before, after or in the middle of one of its steps."""
    rng = random.Random(seed)
    left, patch = rng.randrange(1, 84), pytest.MonkeyPatch()  # an undisturbed run takes 86
    after = rng.random() < .5

    def mortal(name, step):
        def call(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0 and name.endswith('write_bytes'):
                with open(args[0], 'wb') as file:
                    file.write(args[1][:len(args[1]) // 2])
                _die()
            if left == 0 and name.endswith('add') and after:
                args[0]._file.write('{"i": 3, "fil')  # a line cut short
                args[0]._file.flush()
                _die()
            if left == 0 and not after:
                _die()
            result = step(*args, **kwargs)
            if left == 0:
                _die()
            return result
        return call

    for name in STEPS:
        patch.setattr(name, mortal(name, resolve_name(name)))
    _quiet(job, resume=resume)


@pytest.mark.parametrize('seed', range(20))
def test_killed_at_any_moment_it_goes_on(plain, key, whole, tmp_path, seed):
    job = _two_scales(plain, tmp_path / 'out', key)
    for attempt in range(2):  # the second one dies while it resumes
        child = FORK.Process(target=_killed, args=(job, 2 * seed + attempt, attempt > 0))
        child.start()
        child.join()
        assert child.exitcode in ((-signal.SIGKILL, 0) if attempt else (-signal.SIGKILL, ))
    report = seal_dataset(job, resume=True)
    assert report.complete
    assert report.kept + report.written == 16
    assert _content(job.out) == _content(whole)
    assert not list(verify_sealed(job.out, key))


def test_killed_with_workers_it_leaves_none_behind(plain, key, whole, tmp_path):
    """Orphans would hold the lock, and wait for work for ever."""
    job = _two_scales(plain, tmp_path / 'out', key)

    def at_third(done: int, _) -> None:
        if done == 3:
            _die()

    child = FORK.Process(target=_quiet, args=(job, ), kwargs=dict(num_workers=2,
                                                                  progress=at_third))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    for _ in range(100):
        try:
            report = seal_dataset(job, resume=True)
            break
        except ValueError:  # the workers have not all noticed yet
            time.sleep(.05)
    assert report.complete
    assert report.kept >= 6
    assert _content(job.out) == _content(whole)


def test_a_killed_worker_is_said(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, 'check_complete', _die)
    with pytest.raises(RuntimeError, match=r'killed.*--resume'):
        seal_dataset(_job(plain, tmp_path / 'out'), num_workers=1)
    monkeypatch.undo()
    assert seal_dataset(_job(plain, tmp_path / 'out'), resume=True).complete


def test_what_is_there_is_checked(plain, key, whole, tmp_path):
    shutil.copytree(whole, tmp_path / 'out')
    manifest = Manifest.load(whole)
    (tmp_path / 'out' / manifest.pictures[0].file).unlink()
    (tmp_path / 'out' / manifest.pictures[5].file).write_bytes(b'damaged')
    job = _two_scales(plain, tmp_path / 'out', key)
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept) == (4, 12)
    assert _content(job.out) == _content(whole)


@pytest.mark.parametrize('finished', [True, False])
def test_another_job_is_not_resumed(plain, key, whole, tmp_path, finished, monkeypatch):
    job = _two_scales(plain, tmp_path / 'out', key)
    if finished:
        shutil.copytree(whole, job.out)
    else:
        child = FORK.Process(target=_quiet, args=(job, ), kwargs=dict(
            progress=lambda done, _: _die() if done == 3 else None))
        child.start()
        child.join()
    before = _content(job.out)
    (tmp_path / 'other.json').write_text((plain / 'ann.json').read_text() + ' ')
    for other in (replace(job, scales=((96, 64), )), replace(job, picture_format='webp'),
                  replace(job, key=Key(bytes(32))), replace(job, ann_file=tmp_path / 'other.json'),
                  replace(job, ann_file=None), replace(job, scheme=Scheme('mix+shuffle', erode=1))):
        with pytest.raises(ValueError, match='cannot be resumed with these'):
            seal_dataset(other, resume=True)
    with pytest.raises(ValueError, match='--resume goes on with it'):
        seal_dataset(job)
    if not finished:
        with pytest.raises(ValueError, match='another number of shards'):
            seal_dataset(replace(job, shard=(0, 2)), resume=True)
    assert _content(job.out) | {'.sealing/shard-0-of-1.lock': ''} == \
        before | {'.sealing/shard-0-of-1.lock': ''}


def test_shards_with_other_options_are_refused_before_any_work(plain, tmp_path):
    seal_dataset(_job(plain, tmp_path / 'out', shard=(0, 2)))
    before = _content(tmp_path / 'out')
    with pytest.raises(ValueError, match='other options'):
        seal_dataset(_job(plain, tmp_path / 'out', scheme=Scheme('mix', grid=4), shard=(1, 2)))
    assert _content(tmp_path / 'out') == before


def test_folders_that_hold_something_else(plain, tmp_path):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/thesis.txt').write_text('x')
    for resume in (False, True):
        with pytest.raises(ValueError, match='not a sealed data set'):
            seal_dataset(_job(plain, tmp_path / 'out'), resume=resume)
    assert list(_content(tmp_path / 'out')) == ['thesis.txt']


# --- refused, skipped, failed --------------------------------------------------------------------


@pytest.mark.parametrize(('options', 'message'), [
    (dict(out='pictures'), 'lies in the folder of the plain'),
    (dict(out='pictures/sub/../new/sealed'), 'lies in the folder of the plain'),
    (dict(scheme=Scheme('shuffle', grid=1)), 'needs --key-file'),
    (dict(key=Key(bytes(32)), scheme=Scheme('mix')), 'uses no key'),
    (dict(picture_format='jpg'), "format 'jpg'"),
    (dict(scales=((9, 9), (9, 9))), 'given twice'),
    (dict(scales=((1_000_001, 800), )), 'more than 1000000 pixels'),
    (dict(shard=(2, 2)), 'shards of 2 are 0 to 1'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_jobs_that_make_no_sense(plain, tmp_path, options, message):
    options = {'out': tmp_path / 'out', **options}
    options['out'] = plain / options['out']
    with pytest.raises(ValueError, match=message):
        _job(plain, **options)


def test_bad_pictures_are_skipped_and_can_be_mended(plain, tmp_path):
    shutil.copytree(plain / 'pictures', tmp_path / 'pictures')
    data = json.loads((plain / 'ann.json').read_text())
    (tmp_path / 'tiny.png').write_bytes(cv2.imencode('.png', np.zeros((9, 9, 3)))[1].tobytes())
    (tmp_path / 'other.png').write_bytes(cv2.imencode('.png', np.zeros((32, 32, 3)))[1].tobytes())
    names = [item['file_name'] for item in data['images']]
    paths = [tmp_path / 'pictures' / name for name in names]
    whole_jpeg = paths[4].read_bytes()
    paths[0].unlink()
    paths[1].write_bytes(b'')
    paths[2].write_text('this is a text')
    shutil.copy(tmp_path / 'other.png', paths[3])
    paths[4].write_bytes(whole_jpeg[:len(whole_jpeg) // 2])
    shutil.copy(tmp_path / 'tiny.png', paths[5])
    data['images'][5].update(width=9, height=9)
    paths[6].unlink()
    paths[6].symlink_to(tmp_path / 'other.png')
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    job = _job(tmp_path, tmp_path / 'out')
    report = seal_dataset(job)
    reasons = dict(report.skipped)
    assert list(reasons) == names[:7]
    for name, words in zip(names, ['no such file', 'empty', 'not a picture', '32x32',
                                   'cut short', 'smaller than one', 'outside'], strict=False):
        assert words in reasons[name]
    manifest = Manifest.load(job.out)
    assert [picture.source for picture in manifest.pictures] == names[7:]
    assert manifest.skipped == report.skipped
    assert [item['id'] for item in manifest.read_annotations()['images']] == [8]
    assert {item['image_id'] for item in manifest.read_annotations()['annotations']} == {8}
    assert not list(verify_sealed(job.out))
    for path, name in zip(paths, names, strict=True):
        path.unlink(missing_ok=True)
        shutil.copy(plain / 'pictures' / name, path)
    img = cv2.imread(str(paths[5]))
    cv2.imwrite(str(paths[5]), img[:9, :9])
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept, len(report.skipped)) == (6, 1, 1)
    seal_dataset(replace(job, out=tmp_path / 'clean'))
    assert _content(job.out) == _content(tmp_path / 'clean')


def test_mended_shards_are_complete_together(plain, tmp_path):
    shutil.copytree(plain, tmp_path, dirs_exist_ok=True)
    name = '000000000001.png'
    (tmp_path / 'pictures' / name).rename(tmp_path / name)
    jobs = [_job(tmp_path, tmp_path / 'out', shard=(i, 2)) for i in range(2)]
    assert [seal_dataset(job).complete for job in jobs] == [False, True]
    (tmp_path / name).rename(tmp_path / 'pictures' / name)
    assert [seal_dataset(job, resume=True).complete for job in jobs] == [False, True]
    assert len(Manifest.load(tmp_path / 'out').pictures) == 8
    assert not list(verify_sealed(tmp_path / 'out'))


def test_nothing_but_bad_pictures(tmp_path):
    (tmp_path / 'pictures').mkdir()
    (tmp_path / 'pictures/a.jpg').touch()
    with pytest.raises(ValueError, match=r'no picture could be sealed.*a\.jpg: it is empty'):
        seal_dataset(_job(tmp_path, tmp_path / 'out', ann_file=None))


@pytest.mark.parametrize('workers', [0, 1])
def test_a_full_disk_is_not_the_pictures_fault(plain, tmp_path, monkeypatch, workers):
    write, count = writer.write_atomic, 0

    def full(path, content):
        nonlocal count
        count += path.suffix == '.png'
        if count > 3:
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        write(path, content)

    monkeypatch.setattr(writer, 'write_atomic', full)
    with pytest.raises(OSError, match='No space left'):
        seal_dataset(_job(plain, tmp_path / 'out'), num_workers=workers)
    monkeypatch.undo()
    assert not (tmp_path / 'out/manifest.json').exists()
    report = seal_dataset(_job(plain, tmp_path / 'out'), resume=True)
    assert (report.kept, report.written, report.skipped) == (3, 5, [])


def test_real_pictures_of_all_sizes(coco_mini, key, tmp_path):
    """Crowds and masks are kept as they are."""
    ann_file = coco_mini / 'annotations/instances_val2017.json'
    job = SealJob(coco_mini / 'val2017', tmp_path / 'out',
                  Scheme('mix+center+shuffle', center_strength=1.), ann_file, key)
    report = seal_dataset(job)
    assert (report.skipped, report.complete) == ([], True)
    before = json.loads(ann_file.read_text())
    after = Manifest.load(job.out).read_annotations()
    assert any(ann['iscrowd'] for ann in before['annotations'])
    assert after['annotations'] == before['annotations']
    assert [(i['id'], i['width'], i['height']) for i in after['images']] == \
        [(i['id'], i['width'], i['height']) for i in before['images']]
    assert not list(verify_sealed(job.out, key))


def test_a_journal_lost_in_a_power_cut(plain, tmp_path):
    """An empty journal says nothing is done; the files are sealed again."""
    whole = _job(plain, tmp_path / 'whole')
    seal_dataset(whole)
    cut = replace(whole, out=tmp_path / 'cut')
    with Journal(cut.out, cut.shard, '') as journal:
        journal.path.touch()
    assert seal_dataset(cut, resume=True).complete
    assert (cut.out / 'manifest.json').read_bytes() == (whole.out / 'manifest.json').read_bytes()
