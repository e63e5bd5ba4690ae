"""A frozen detector behind a protector: what learns, what is fed, what is saved."""
from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmppvit.engine import CheckedLoadHook
from mmppvit.models import ProtectedDetector
from mmppvit.models.checkpoints import write_state_dict
from mmppvit.models.protectors import fingerprint, load_protector, protect_image
from tests.models.tiny_detectors import assert_same_predictions, batch, images, model_config

PROTECTOR = dict(type='ProtectionUNet', arch=(4, 8))
PERCEPTUAL = dict(type='RandomFeatureDistance', channels=(4, 4))
NAMES = ['ATSS', 'FasterRCNN', 'MaskRCNN', 'DETR', 'RetinaNet']


def _config(name: str):
    """``model`` of a tiny detector: those of configs/coco, and MMDetection's with batch norm."""
    if name != 'RetinaNet':
        return model_config(name)
    model = get_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py').model
    model.backbone.init_cfg = None
    model.bbox_head.update(stacked_convs=1, feat_channels=16)
    model.neck.out_channels = model.bbox_head.in_channels = 16
    model.test_cfg.score_thr = 0.
    return model


def _build(detector, seed: int = 0, **kwargs) -> ProtectedDetector:
    torch.manual_seed(seed)
    model = ProtectedDetector(
        detector, **(dict(protector=PROTECTOR, perceptual=PERCEPTUAL) | kwargs))
    return model.train()


@pytest.fixture(scope='module', params=NAMES)
def any_model(request) -> ProtectedDetector:
    return _build(_config(request.param), reconstructor=dict(network=PROTECTOR))


@pytest.fixture
def atss() -> ProtectedDetector:
    return _build(_config('ATSS'))


def _data(imgs=None) -> dict:
    data = batch(images() if imgs is None else imgs)
    for sample, img in zip(data['data_samples'], data['inputs'], strict=True):
        size = img.shape[1:]
        sample.gt_instances.masks = BitmapMasks(np.ones((2, *size), np.uint8), *size)
    return data


def _losses(model, data=None) -> dict:
    torch.manual_seed(0)
    data = model.data_preprocessor(data or _data(), True)
    return model(**copy.deepcopy(data), mode='loss')


def _detector_input(model, inputs) -> torch.Tensor:
    """What the frozen detector is given in training."""
    seen = []
    hook = model.detector.backbone.register_forward_pre_hook(
        lambda module, args: seen.append(args[0]))
    model.loss(inputs, _data()['data_samples'])
    hook.remove()
    return seen[0]


# --- learning -----------------------------------------------------------------------------


def test_gradients_reach_what_learns_and_nothing_else(any_model):
    before = {name: x.clone() for name, x in any_model.detector.state_dict().items()}
    any_model.zero_grad()
    loss, log_vars = any_model.parse_losses(_losses(any_model))
    loss.backward()
    for name, param in any_model.named_parameters():
        learns = name.startswith(('protector.', 'reconstructor.'))
        assert param.requires_grad == learns, name
        assert (param.grad is not None) == learns, name
    grads = [param.grad for param in any_model.protector.parameters()]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert all(grad.abs().sum() > 0 for grad in grads)
    assert {'loss_perceptual', 'perceptual_distance', 'loss_reconstructor'} <= log_vars.keys()
    for name, value in any_model.detector.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_frozen_modules_stay_in_eval_mode(any_model):
    any_model.eval().train()
    assert any_model.protector.training
    children = [module for module in any_model.detector.modules()
                if module is not any_model.detector]
    assert not any(module.training for module in children)
    any_model.eval()
    assert not any_model.detector.training
    any_model.train()


def test_the_sum_is_the_detectors_loss_minus_alpha_times_the_distance(atss):
    losses = _losses(atss)
    total, log_vars = atss.parse_losses(losses)
    own = sum(float(value) for name, value in log_vars.items()
              if name in ('loss_cls', 'loss_bbox', 'loss_centerness'))
    assert float(total) == pytest.approx(own - .01 * float(log_vars['perceptual_distance']))
    assert float(log_vars['perceptual_distance']) > 0


def test_alpha_0_logs_the_distance_without_a_loss_of_it():
    model = _build(_config('ATSS'), alpha=0.)
    losses = _losses(model)
    assert 'loss_perceptual' not in losses
    assert losses['perceptual_distance'] > 0
    assert not losses['perceptual_distance'].requires_grad


def test_the_distance_is_the_mean_over_images_of_any_shape(atss):
    imgs = [*images(), images(1)[0]]
    atss.eval()
    together = _losses(atss, _data(imgs))['perceptual_distance']
    alone = [_losses(atss, _data([img]))['perceptual_distance'] for img in imgs]
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_backbone_features_as_distance():
    model = _build(_config('ATSS'), perceptual=dict(type='BackboneDistance'), alpha=1.)
    losses = _losses(model)
    assert losses['perceptual_distance'] > 0
    losses['loss_perceptual'].backward()
    assert model.protector.head.weight.grad.abs().sum() > 0
    assert not any(name.startswith('perceptual') for name, _ in model.named_parameters())


def test_a_step_of_training_lowers_the_loss(atss):
    optimizer = torch.optim.Adam(
        [param for param in atss.parameters() if param.requires_grad], 3e-3)
    first = None
    for _ in range(8):
        loss, _ = atss.parse_losses(_losses(atss))
        first = float(loss) if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < first


def test_bfloat16_autocast_gives_nearly_the_same(atss):
    exact = atss.parse_losses(_losses(atss))[0]
    with torch.autocast('cpu', torch.bfloat16):
        rough = atss.parse_losses(_losses(atss))[0]
    assert float(rough) == pytest.approx(float(exact), rel=.05)
    rough.backward()
    assert atss.protector.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(('name', 'value'), [('loss_cls', 'nan'), ('loss_perceptual', 'inf')])
def test_a_loss_that_is_not_finite_stops_training(atss, name, value):
    losses = _losses(atss)
    losses[name] = torch.tensor(float(value))
    with pytest.raises(FloatingPointError, match=rf'the loss is {value} \(from {name}\), training '
                       r'stops.* Lower optim_wrapper.optimizer.lr'):
        atss.parse_losses(losses)


@pytest.mark.parametrize('kwargs', [dict(alpha=-1.), dict(perceptual=None)])
def test_alpha_that_makes_no_sense(kwargs):
    with pytest.raises(ValueError, match='needs a distance unless it is 0'):
        _build(_config('ATSS'), **kwargs)
    assert _build(_config('ATSS'), perceptual=None, alpha=0.).perceptual is None


# --- what the detector is fed -------------------------------------------------------------


def test_predictions_are_those_of_the_plain_detector_on_protected_files(any_model):
    """The 8-bit file, read by the untouched detector, is the same input to the last bit."""
    any_model.eval()
    files = [protect_image(any_model.protector, img) for img in images()]
    with torch.no_grad():
        found = any_model.test_step(_data())
        expected = any_model.detector.test_step(_data(files))
    assert_same_predictions(found, expected, rtol=0, atol=0)
    any_model.train()


def test_a_protected_image_does_not_depend_on_its_batch(atss):
    atss.eval()
    imgs = [torch.from_numpy(img).permute(2, 0, 1) for img in (*images(), *images(1))]
    with torch.no_grad():
        together = atss.protect(imgs)
        for img, found in zip(imgs, together, strict=True):
            assert torch.equal(atss.protect([img])[0], found)


def test_training_sees_8_bit_values_and_the_detectors_own_padding(atss):
    inputs = _data()['inputs']
    goal = copy.deepcopy(atss)
    with torch.no_grad():
        files = [x.to(torch.uint8) for x in goal.protect(inputs)]
    expected = goal.detector.data_preprocessor(dict(inputs=files, data_samples=None))['inputs']
    assert torch.equal(_detector_input(atss, inputs), expected)


def test_without_quantizing_training_sees_other_values():
    model = _build(_config('ATSS'), quantize=False)
    inputs = _data()['inputs']
    exact = copy.deepcopy(model)
    with torch.no_grad():
        smooth = exact.protect(inputs, quantize=False)
    assert not torch.equal(smooth[0], smooth[0].round())
    expected = exact.detector.data_preprocessor(dict(inputs=smooth, data_samples=None))['inputs']
    torch.testing.assert_close(_detector_input(model, inputs), expected)


# --- the detector and its weights ---------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A checkpoint of a tiny ATSS, and the tensors in it."""
    torch.manual_seed(7)
    detector = MODELS.build(dict(_config('ATSS'), _scope_='mmdet'))
    write_state_dict(tmp_path / 'atss.pth', detector.state_dict())
    return tmp_path / 'atss.pth', detector.state_dict()


def test_the_checkpoint_is_loaded_whole_and_survives_init_weights(trained):
    path, state = trained
    model = _build(_config('ATSS'), checkpoint=str(path))
    model.init_weights()
    assert fingerprint(model.detector.state_dict()) == fingerprint(state)


def test_without_a_checkpoint_init_weights_initializes_the_detector():
    model = _build(_config('ATSS'))
    before = fingerprint(model.detector.state_dict())
    model.init_weights()
    assert fingerprint(model.detector.state_dict()) != before
    assert not any(param.requires_grad for param in model.detector.parameters())


def test_a_checkpoint_of_another_detector_is_refused(trained):
    with pytest.raises(ValueError, match=r'atss.pth does not fit this FasterRCNN:\n  \d+ tensors '
                       r'in the model only(.|\n)*Give the config that it was trained with'):
        _build(_config('FasterRCNN'), checkpoint=str(trained[0]))


def test_a_checkpoint_that_is_not_there():
    with pytest.raises(FileNotFoundError, match=r'no checkpoint a\.pth of the frozen detector'):
        _build(_config('ATSS'), checkpoint='a.pth')


@pytest.mark.parametrize('kind', ['file', 'config', 'model', 'mmdet'])
def test_ways_to_name_a_detector(kind, configs):
    path = configs / 'bccd/atss_pevit-tiny_plain_bccd.py'
    detectors = dict(file=str(path), mmdet='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
                     model=_config('ATSS'), config=dict(model=_config('ATSS'), train_cfg={}))
    model = _build(detectors[kind])
    assert type(model.detector).__name__ == ('RetinaNet' if kind == 'mmdet' else 'ATSS')
    assert model.detector.data_preprocessor.mean.numel() == 3


@pytest.mark.parametrize(('detector', 'kind', 'error'), [
    ('configs/none.py', FileNotFoundError, 'no config configs/none.py: give a file'),
    (dict(optim_wrapper={}), ValueError, 'detector has no model')])
def test_detectors_that_are_none(detector, kind, error):
    with pytest.raises(kind, match=error):
        _build(detector)


@pytest.mark.parametrize(('name', 'stage_1'), [
    ('atss_pevit-tiny_light_bccd', 'bccd/atss_pevit-tiny_plain_bccd'),
    ('retinanet_r50_light_bccd', 'protectors/retinanet_r50_plain_bccd'),
    ('faster-rcnn_r50_paper_coco', None)])
def test_configs_name_the_detector_that_they_protect(name, stage_1, configs, monkeypatch, tmp_path):
    cfg = Config.fromfile(str(configs / f'protectors/{name}.py'))
    assert cfg.model.type == 'ProtectedDetector'
    assert dict(type='ProtectorHook') in cfg.custom_hooks
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'of the frozen detector: train it first'):
        MODELS.build(cfg.model)
    if stage_1 is not None:
        plain = Config.fromfile(str(configs / f'{stage_1}.py'))
        assert cfg.model.detector == plain.model
        assert cfg.model.checkpoint == (
            f'work_dirs/{stage_1.split("/")[1]}/epoch_{plain.train_cfg.max_epochs}.pth')


# --- checkpoints --------------------------------------------------------------------------


def test_state_dicts_hold_what_learned_and_go_back(trained, tmp_path):
    kwargs = dict(checkpoint=str(trained[0]), reconstructor=dict(network=PROTECTOR))
    model, other = (_build(_config('ATSS'), seed, **kwargs) for seed in (0, 1))
    state = model.state_dict()
    assert {name.split('.')[0] for name in state} == {'_extra_state', 'protector', 'reconstructor'}
    CheckedLoadHook(strict=True).after_load_checkpoint(
        type('Runner', (), dict(model=other, _resume=True)), dict(state_dict=state))
    for load in (load_state_dict, nn.Module.load_state_dict):
        load(other, state, strict=True)
        assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
    assert fingerprint(other.detector.state_dict()) == fingerprint(trained[1])
    torch.save(dict(meta={}, state_dict=state), tmp_path / 'epoch_1.pth')
    assert load_protector(tmp_path / 'epoch_1.pth').made_for == fingerprint(trained[1])


def test_a_checkpoint_cannot_bring_another_detector_in(atss):
    state = atss.state_dict()
    name, value = next(iter(atss.detector.named_parameters()))
    before = value.clone()
    state[f'detector.{name}'] = value + 1
    atss.load_state_dict(state)
    assert torch.equal(dict(atss.detector.named_parameters())[name], before)


def test_a_protector_of_another_detector_is_refused(atss, trained):
    other = _build(_config('ATSS'), checkpoint=str(trained[0]))
    for load in (load_state_dict, nn.Module.load_state_dict):
        with pytest.raises(ValueError, match='trained for a detector with other weights'):
            load(other, atss.state_dict())
