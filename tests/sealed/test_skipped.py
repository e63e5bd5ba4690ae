"""Images that cannot be sealed are skipped, said, and can be repaired."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmppvit.cli.app import main
from mmppvit.sealed import Manifest, seal_dataset, verify_sealed
from tests.sealed.jobs import content_of, make_job


def test_bad_images_are_skipped_and_can_be_mended(plain, tmp_path):
    shutil.copytree(plain / 'images', tmp_path / 'images')
    data = json.loads((plain / 'ann.json').read_text())
    (tmp_path / 'tiny.png').write_bytes(cv2.imencode('.png', np.zeros((9, 9, 3)))[1].tobytes())
    (tmp_path / 'other.png').write_bytes(cv2.imencode('.png', np.zeros((32, 32, 3)))[1].tobytes())
    names = [item['file_name'] for item in data['images']]
    paths = [tmp_path / 'images' / name for name in names]
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
    job = make_job(tmp_path, tmp_path / 'out')
    report = seal_dataset(job)
    reasons = dict(report.skipped)
    assert list(reasons) == names[:7]
    for name, words in zip(names, ['no such file', 'empty', 'not an image', '32x32',
                                   'cut short', 'smaller than one', '32x32'], strict=False):
        assert words in reasons[name]
    manifest = Manifest.load(job.out)
    assert [image.source for image in manifest.images] == names[7:]
    assert manifest.skipped == report.skipped
    assert [item['id'] for item in manifest.read_annotations()['images']] == [8]
    assert {item['image_id'] for item in manifest.read_annotations()['annotations']} == {8}
    assert not list(verify_sealed(job.out))
    for path, name in zip(paths, names, strict=True):
        path.unlink(missing_ok=True)
        shutil.copy(plain / 'images' / name, path)
    img = cv2.imread(str(paths[5]))
    cv2.imwrite(str(paths[5]), img[:9, :9])
    report = seal_dataset(job, resume=True)
    assert (report.written, report.kept, len(report.skipped)) == (6, 1, 1)
    # The set has changed since it was finished first, and its counter says so.
    seal_dataset(replace(job, out=tmp_path / 'clean', counter=2))
    assert content_of(job.out) == content_of(tmp_path / 'clean')


def test_mended_shards_are_complete_together(plain, tmp_path):
    shutil.copytree(plain, tmp_path, dirs_exist_ok=True)
    name = '000000000001.png'
    (tmp_path / 'images' / name).rename(tmp_path / name)
    jobs = [make_job(tmp_path, tmp_path / 'out', shard=(i, 2)) for i in range(2)]
    assert [seal_dataset(job).complete for job in jobs] == [False, True]
    (tmp_path / name).rename(tmp_path / 'images' / name)
    before = content_of(tmp_path / 'out')
    assert [dict(seal_dataset(job, resume=True).skipped) for job in jobs] == [
        {name: 'there is no such file'}, {}]
    assert content_of(tmp_path / 'out') == before
    assert seal_dataset(replace(jobs[0], shard=(0, 1)), resume=True).complete
    assert len(Manifest.load(tmp_path / 'out').images) == 8
    assert not list(verify_sealed(tmp_path / 'out'))


def test_nothing_but_bad_images(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').touch()
    with pytest.raises(ValueError, match=r'no image could be sealed.*a\.jpg: it is empty'):
        seal_dataset(make_job(tmp_path, tmp_path / 'out', ann_file=None))


@pytest.mark.parametrize(('options', 'with_key'), [
    ([], True), ([], False), (['--seal-metadata'], True), (['--shard', '0/2'], True),
    (['--shard', '0/2'], False)], ids=str)
def test_the_exit_status_is_that_of_the_images(plain, key, tmp_path, capsys, options, with_key):
    """Of both containers, at first and whenever it is resumed; other parts skipped nothing."""
    shutil.copytree(plain, tmp_path, dirs_exist_ok=True)
    name = '000000000001.png'
    (tmp_path / 'images' / name).write_text('this is a text')
    other = ['--shard', '1/2'] if '--shard' in options else None
    for container in ('folder', 'wds'):
        out = tmp_path / container
        command = ['seal', '--img-dir', f'{tmp_path}/images', '--ann', f'{tmp_path}/ann.json',
                   '--out', f'{out}', '--scheme', 'mix', '--container', container,
                   *(['--key-file', f'{key.path}'] if with_key else []), *options]
        assert main(command) == 1
        if other:
            assert main([*command[:-2], *other]) == 0
        before = content_of(out)
        for _ in range(2):
            capsys.readouterr()
            assert main([*command, '--resume']) == 1
            said = capsys.readouterr().out
            assert f'{3 if other else 7} kept from before, 1 images skipped' in said
            assert f'skipped {name}: it is not an image' in said
            assert ('seal into another --out' if container == 'wds' else
                    '--resume without --shard' if other else 'and --resume.') in said
        assert main([*command, '--resume', '--dry-run']) == 1
        assert content_of(out) == before
        if other:
            assert main([*command[:-2], *other, '--resume']) == 0
