"""What an older version wrote is read, and the same input still gives the same bytes."""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope

from mmppvit.attacks.comparison.reading import read_point
from mmppvit.encryption import (
    BASELINES,
    LEARNED,
    SCHEMES,
    Key,
    Scheme,
    blank_patches,
    make_scheme,
    shuffle_patches,
)
from mmppvit.models.checkpoints import load_whole, read_state_dict
from mmppvit.models.protectors import fingerprint, load_protector
from mmppvit.models.protectors.protector_scheme import bind_protector, learned_scheme
from mmppvit.sealed import (
    Manifest,
    SealedImage,
    SealJob,
    restore_dataset,
    seal_dataset,
    verify_sealed,
)
from mmppvit.sealed.image_files import encode_image
from mmppvit.two_party.split import read_part

OLDER = Path(__file__).parent / 'data/older'
OPTIONS = {
    'mix': dict(grid=2),
    'shuffle': dict(grid=1),
    'mix+shuffle': dict(grid=2, erode=1, drop=.2),
    'mix+center': dict(grid=2, center_strength=.75),
    'mix+center+shuffle': dict(grid=2, center_strength=1., normalize=True),
    'blur': dict(grid=1, strength=2.),
    'pixelate': dict(grid=1, strength=4.),
    'downsample': dict(grid=2),
    'noise': dict(grid=1, strength=20.),
    'downsample+shuffle': dict(grid=2),
}
SETS = [*(f'png/{name}' for name in (*OPTIONS, LEARNED)), 'webp/mix', 'webp/mix+center+shuffle']


def _scheme(name: str) -> Scheme:
    if name == LEARNED:
        return learned_scheme(OLDER / 'protector.safetensors', patch_size=8)
    return make_scheme(name, patch_size=8, **OPTIONS[name])


@pytest.fixture
def key(tmp_path) -> Key:
    """Of the older files; a clone has no mode 0600."""
    path = tmp_path / 'owner.key'
    shutil.copy(OLDER / 'key.txt', path)
    path.chmod(0o600)
    return Key.load(path)


def _job(folder: str, out: Path, key: Key) -> SealJob:
    kind, name = folder.split('/')
    scheme = _scheme(name)
    several = dict(scales=((48, 32), (32, 24))) if folder == 'webp/mix+center+shuffle' else {}
    return SealJob(OLDER / 'plain', out, scheme,
                   None if folder == 'webp/mix' else OLDER / 'plain.json',
                   key=key if scheme.shuffles else None, image_format=kind, **several)


def test_every_scheme_has_an_older_set():
    assert {*OPTIONS, LEARNED} == {*SCHEMES, *BASELINES, LEARNED}


@pytest.mark.parametrize('folder', SETS)
def test_sealed_sets_are_read(folder, key):
    manifest = Manifest.load(OLDER / folder)
    assert manifest.scheme == _scheme(folder.split('/')[1])
    signed = key if manifest.scheme.shuffles else None
    assert list(verify_sealed(OLDER / folder, signed)) == []


@pytest.mark.parametrize('folder', [name for name in SETS if LEARNED not in name])
def test_the_same_input_gives_the_same_bytes(folder, key, tmp_path):
    """But for what version 4 of the manifest changed: padding, and the nonces of shuffled images.

    With the padding and the nonce of then, the image is that of then.
    """
    assert seal_dataset(replace(_job(folder, tmp_path / 'now', key), padding='zero')).complete
    files = sorted(path.relative_to(OLDER / folder) for path in (OLDER / folder).rglob('*.*'))
    assert files == sorted(p.relative_to(tmp_path / 'now') for p in (tmp_path / 'now').rglob('*.*'))
    assert len(files) >= 3
    then, now = Manifest.load(OLDER / folder), Manifest.load(tmp_path / 'now')
    for old, new in zip(then.images, now.images, strict=True):
        content = now.read(new)
        if then.scheme.shuffles:
            img = then.scheme.in_order(_plain(old), pad_val=0)
            content = encode_image(_in_the_order_of(then, old, img, key), then.image_format)
            assert old.nonce != new.nonce
        assert then.read(old) == content
        assert old == replace(new, nonce=old.nonce, plain_mac='', sha256=old.sha256,
                              bytes=old.bytes)
    if then.annotations is not None:
        told = now.read_annotations()
        assert told.pop('info', {}) == {}  # which readers ask for now
        assert then.read_annotations() == told


def _plain(image: SealedImage) -> np.ndarray:
    img = cv2.imread(str(OLDER / 'plain' / image.source))
    return img if image.scaled == image.plain else cv2.resize(img, image.scaled)


def _in_the_order_of(manifest: Manifest, image: SealedImage, img: np.ndarray, key: Key
                     ) -> np.ndarray:
    scheme = manifest.scheme
    order = scheme.order(key, image.file, bytes.fromhex(image.nonce), img.shape)
    img = blank_patches(img, scheme.side, order[:int(scheme.drop * len(order))])
    return shuffle_patches(img, scheme.side, order)


@pytest.mark.parametrize('folder', SETS)
def test_an_older_run_is_resumed(folder, key, tmp_path):
    """It is the same job, so everything is kept, also what is sealed anew to compare it."""
    shutil.copytree(OLDER / folder, tmp_path / 'old')
    job = _job(folder, tmp_path / 'old', key)
    report = seal_dataset(job, resume=True)
    count = 4 if 'webp/mix+' in folder else 2
    assert report.written + report.kept == count
    assert report.written == 0 or LEARNED in folder  # convolutions round differently elsewhere
    manifest = Manifest.load(job.out)
    assert (manifest.version, manifest.padding, manifest.counter) == (4, 'zero', 1)
    assert list(verify_sealed(job.out, job.key)) == []
    assert seal_dataset(job, resume=True).kept == count  # now that it has version 4


def test_learned_images_are_the_same(key, tmp_path):
    """Up to a level: convolutions round differently on other processors."""
    seal_dataset(replace(_job('png/learned', tmp_path / 'now', key), padding='zero'))
    for name in ('images/first.png', 'images/sub/second.png'):
        now, then = (cv2.imread(str(root / name)).astype(int)
                     for root in (tmp_path / 'now', OLDER / 'png/learned'))
        assert np.abs(now - then).max() <= 1
        assert then.std() > 10


def test_a_shuffled_set_is_restored(key, tmp_path):
    assert restore_dataset(Manifest.load(OLDER / 'png/shuffle'), key, tmp_path / 'back')
    for name in ('first.png', 'sub/second.png'):
        np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'back/images' / name)),
                                      cv2.imread(str(OLDER / 'plain' / name)))


def _dataset(key: Key, load: list[dict]) -> object:
    plain = json.loads((OLDER / 'plain.json').read_text())
    classes = [item['name'] for item in plain['categories']]
    return DATASETS.build(dict(
        type='SealedCocoDataset', data_root=str(OLDER / 'png'), sealed='mix+center+shuffle',
        metainfo=dict(classes=classes), test_mode=True,
        pipeline=[*load, dict(type='LoadAnnotations', with_bbox=True),
                  dict(type='PackSealedInputs')]))


def test_a_checkpoint_finds_what_it_found(key, tmp_path):
    """Sealed images through an older config of the pipeline, and an older detector."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        load = [dict(type='LoadImageFromFile'),
                dict(type='ReadSeal', key_file=str(tmp_path / 'owner.key'))]
        images = _dataset(key, load)
        model = MODELS.build(ConfigDict(json.loads((OLDER / 'model.json').read_text()))).eval()
        load_whole(model, read_state_dict(OLDER / 'detector.pth'), 'detector.pth')
        with torch.no_grad():
            found = model.test_step(pseudo_collate([images[0], images[1]]))
    expected = json.loads((OLDER / 'detections.json').read_text())
    for sample, then in zip(found, expected, strict=True):
        now = sample.pred_instances
        assert now.labels.tolist() == then['labels']
        torch.testing.assert_close(now.scores, torch.tensor(then['scores']), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(now.bboxes, torch.tensor(then['bboxes']), rtol=1e-4, atol=1e-3)


def test_a_protector_is_read():
    protector = load_protector(OLDER / 'protector.safetensors')
    assert protector.made_for == 'ab' * 16
    scheme = Manifest.load(OLDER / 'png/learned').scheme
    assert fingerprint(protector.network.state_dict()) == scheme.protector
    assert bind_protector(scheme, OLDER / 'protector.safetensors') == scheme


def test_a_file_of_tokens_is_read():
    tensors, info = read_part(OLDER / 'tokens.safetensors', 'tokens')
    torch.testing.assert_close(tensors['a'], torch.arange(6.).reshape(2, 3))
    assert (info['names'], info['grid']) == (['first.png'], [2, 3])


def test_a_report_is_compared():
    """Its words are older, too: neighbours in place of neighbors."""
    point = read_point('mix+shuffle', OLDER / 'report.json', '0.5')
    assert point.success['neighbors'].value == pytest.approx(.377, abs=.001)
    assert point.success['neighbors'].attacker == 'jigsaw-mgc'
    assert point.success['reidentified'].value == 1
