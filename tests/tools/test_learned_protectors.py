"""From plain images over a protector to the detector that reads them: the tools together."""
from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import cv2
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.protectors import fingerprint, load_protector, protect_image
from tests.protectors import tiny_protector, write_protector

CONFIGS = 'atss_pevit-tiny_plain_bccd.py', 'atss_pevit-tiny_sealed-learned_bccd.py'
PLAIN, SMALL = (640, 480), (128, 96)


def _shrink(cfg: Config, scale: tuple[int, int]) -> None:
    cfg.merge_from_dict(dict(model=dict(
        backbone=dict(arch=dict(_delete_=True, embed_dims=32, num_layers=1, num_heads=2)),
        neck=dict(in_channels=32, out_channels=32, num_blocks=0),
        bbox_head=dict(in_channels=32, feat_channels=32, stacked_convs=1),
        test_cfg=dict(score_thr=0., max_per_img=10))))
    cfg.test_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    for step in cfg.test_dataloader.dataset.pipeline:
        step.update({'scale': scale} if 'scale' in step else {})


class _World:
    """Three images of BCCD, a small detector, and a protector for it."""

    def __init__(self, root: Path, bccd: Path, configs: Path, run_tool) -> None:
        self.root, self.bccd, self.configs, self.run_tool = root, bccd, configs, run_tool
        data = json.loads((bccd / 'annotations/instances_test.json').read_text())
        data['images'] = data['images'][:3]
        kept = {image['id'] for image in data['images']}
        data['annotations'] = [item for item in data['annotations'] if item['image_id'] in kept]
        (root / 'three.json').write_text(json.dumps(data))
        self.names = [image['file_name'] for image in data['images']]
        cfg = self.config('bccd', CONFIGS[0], PLAIN)
        torch.manual_seed(0)
        self.detector = MODELS.build(dict(cfg.model, _scope_='mmdet')).eval()
        write_state_dict(root / 'detector.pth', self.detector.state_dict())
        self.protector = write_protector(root / 'protector.safetensors',
                                         made_for=fingerprint(self.detector.state_dict()))

    def config(self, folder: str, name: str, scale: tuple[int, int]) -> Config:
        cfg = Config.fromfile(str(self.configs / folder / name))
        _shrink(cfg, scale)
        return cfg

    def seal(self, out: Path, *more: object) -> None:
        self.run_tool('encrypt_dataset.py', '--ann', self.root / 'three.json', '--img-dir',
                      self.bccd / 'images', '--out', out, '--scheme', 'learned', '--protector',
                      self.protector, *more)

    def tested(self, cfg: Config, *more: str) -> list[dict]:
        """Predictions of ``tools/test.py``."""
        cfg.dump(str(self.root / 'config.py'))
        self.run_tool('test.py', self.root / 'config.py', self.root / 'detector.pth', '--work-dir',
                      self.root / 'test', '--out', self.root / 'results.pkl', *more)
        with open(self.root / 'results.pkl', 'rb') as file:
            return pickle.load(file)

    def protected_in_the_model(self, scale: tuple[int, int]) -> list:
        """What a ProtectedDetector predicts on the plain images, at this scale."""
        cfg = self.config('bccd', CONFIGS[0], scale)
        model = MODELS.build(dict(
            type='ProtectedDetector', detector=dict(cfg.model), _scope_='mmdet',
            checkpoint=str(self.root / 'detector.pth'),
            protector=dict(type='ProtectionUNet', arch=(4, 8)))).eval()
        model.protector.load_state_dict(tiny_protector().state_dict())
        dataset = DATASETS.build(dict(
            cfg.test_dataloader.dataset, _scope_='mmdet', data_root=str(self.root),
            ann_file='three.json', data_prefix=dict(img=str(self.bccd / 'images'))))
        return [model.test_step(pseudo_collate([item]))[0] for item in dataset]


@pytest.fixture
def world(tmp_path, bccd, configs, run_tool) -> _World:
    return _World(tmp_path, bccd, configs, run_tool)


def _assert_same(found: list[dict], expected: list) -> None:
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        ours, theirs = one['pred_instances'], other.pred_instances
        assert len(theirs.scores) == 10
        assert tuple(one['ori_shape']) == (480, 640)
        for key in ('scores', 'bboxes', 'labels'):
            torch.testing.assert_close(ours[key], theirs[key].cpu(), rtol=1e-5, atol=1e-4)


def test_the_detectors_own_config_reads_the_sealed_folder(world):
    """With nothing but other paths, and a stock data set: the pixels are the protector's, and the
    predictions those of the model that protects by itself."""
    sealed = world.root / 'sealed'
    world.seal(sealed)
    cfg = world.config('bccd', CONFIGS[0], PLAIN)
    cfg.merge_from_dict({
        'test_dataloader.dataset.type': 'CocoDataset',
        'test_dataloader.dataset.data_root': f'{sealed}/',
        'test_dataloader.dataset.ann_file': 'annotations.json',
        'test_evaluator.ann_file': f'{sealed}/annotations.json'})
    network = load_protector(world.protector).network
    dataset = DATASETS.build(dict(copy.deepcopy(cfg.test_dataloader.dataset), _scope_='mmdet'))
    for name, item in zip(world.names, dataset, strict=True):
        expected = protect_image(network, cv2.imread(str(world.bccd / 'images' / name)))
        assert (item['inputs'].numpy().transpose(1, 2, 0) == expected).all()
    _assert_same(world.tested(cfg), world.protected_in_the_model(PLAIN))


def test_protected_at_the_scale_that_the_detector_was_trained_at(world, monkeypatch):
    monkeypatch.setenv('MMPPVIT_SEALED', str(world.root))
    world.seal(world.root / 'bccd_learned/test', '--scale', '{}x{}'.format(*SMALL))
    found = world.tested(world.config('protectors', CONFIGS[1], SMALL))
    _assert_same(found, world.protected_in_the_model(SMALL))


def test_attacks_with_the_protector_and_without(run_tool, tmp_path, capfd):
    plain = write_synthetic_shapes(tmp_path / 'plain', 4, 1, (72, 56)) / 'train2017'
    protector = write_protector(tmp_path / 'protector.safetensors')
    run_tool('encrypt_dataset.py', '--img-dir', plain, '--out', tmp_path / 'sealed', '--scheme',
             'learned', '--protector', protector)
    arguments = ['--sealed', tmp_path / 'sealed', '--plain', plain, '--out', tmp_path / 'report',
                 '--attacks', 'thumbnail,jigsaw-mgc', '--num-victims', 2, '--budget', 0]
    with pytest.raises(SystemExit) as ended:
        run_tool('attack.py', *arguments)
    assert ended.value.code == 2
    assert 'give its file by --protector' in capfd.readouterr().err
    run_tool('attack.py', *arguments, '--protector', protector)
    report = json.loads((tmp_path / 'report/report.json').read_text())
    assert [row['status'] for row in report['rows']] == ['done', 'not for this scheme']
    assert report['scheme']['name'] == 'learned'


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--scheme', 'learned'], 'scheme learned needs --protector'),
    (['--scheme', 'mix', '--protector', 'x'], 'scheme mix has no protector'),
    (['--scheme', 'learned', '--protector', 'absent.pth'], 'no protector absent.pth'),
    (['--scheme', 'learned', '--protector', 'absent.pth', '--grid', 2], 'has no --grid'),
    (['--scheme', 'learned', '--protector', 'absent.pth', '--center-strength', 1],
     'has no --center-strength'),
])
def test_options_that_do_not_fit(run_tool, tmp_path, capfd, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run_tool('encrypt_dataset.py', '--img-dir', tmp_path, '--out', tmp_path / 'out', *arguments)
    assert ended.value.code == 2
    assert message in capfd.readouterr().err
    assert not (tmp_path / 'out').exists()
