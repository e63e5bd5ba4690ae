"""The ``_release`` configs of PEViT and of Ito et al. against their recipes, written out."""
from __future__ import annotations

import random
from types import SimpleNamespace

import mmppvit.register  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch
from mmdet.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmengine.runner import Runner
from PIL import Image
from sklearn.model_selection import train_test_split
from torch.nn import functional

from mmppvit.datasets import repeated_sampler
from mmppvit.datasets.cifar import CifarBinary
from mmppvit.models.checkpoints import read_state_dict, write_state_dict
from tests.configs import pevit_release as release
from tests.datasets.test_cifar import write_cifar10

TINY = dict(embed_dim=24, depth=3, num_heads=3, patch_size=8, num_classes=7)
CLASSES = 7


def _pevit(configs, **kwargs) -> Config:
    cfg = Config.fromfile(
        str(configs / 'classification/pevit-base_shuffle_imagenet_release.py'))
    cfg.model.kwargs.update(kwargs)
    return cfg


def _wrapper(cfg: Config, model):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return build_optim_wrapper(model, cfg.optim_wrapper)


def _released_names(model) -> dict[str, torch.nn.Parameter]:
    names = {'reference_encoding.reference': 'reference',
             'reference_encoding.fc1': 'ref_encoding.0', 'reference_encoding.fc2': 'ref_encoding.2'}
    found = {}
    for name, value in model.model.named_parameters():
        for old, new in names.items():
            name = name.replace(old, new)
        found[name] = value
    return found


def _released_shape(name: str, value: torch.Tensor) -> torch.Tensor:
    return value.reshape(1, 1, -1) if name == 'reference' else value


def test_pevit_groups_and_the_rate_of_every_epoch(configs):
    cfg = _pevit(configs, **TINY)
    model = MODELS.build(cfg.model)
    wrapper = _wrapper(cfg, model)
    base, = {group['lr'] for group in wrapper.param_groups}
    images = 8 * cfg.train_dataloader.batch_size
    assert cfg.auto_scale_lr.enable
    scale = images / cfg.auto_scale_lr.base_batch_size
    lr = 5e-4 * 8 * 192 / 512
    assert base * scale == pytest.approx(lr)
    for group in wrapper.param_groups:  # as MMEngine scales it, before there is a schedule
        group['lr'] = group['lr'] * scale
    groups = {id(param): group for group in wrapper.param_groups for param in group['params']}
    scheduler, = [PARAM_SCHEDULERS.build(dict(step, optimizer=wrapper))
                  for step in cfg.param_scheduler]
    for epoch in range(cfg.train_cfg.max_epochs):
        for name, param in _released_names(model).items():
            group = groups[id(param)]
            assert group['lr'] == pytest.approx(release.epoch_lr(lr, epoch), rel=1e-12)
            assert group['weight_decay'] == release.decay_of(
                name, _released_shape(name, param)), name
        scheduler.step()
    assert cfg.train_cfg.max_epochs == 300
    assert cfg.optim_wrapper.get('clip_grad') is None


def test_pevit_settings(configs):
    cfg = _pevit(configs)
    model, train, val = cfg.model, cfg.train_dataloader, cfg.val_dataloader
    assert (model.mixup, model.cutmix, model.label_smoothing) == (.8, 1., .1)
    assert model.random_erasing == .25
    assert model.name == 'pevit_base_patch16_224'
    assert model.kwargs.drop_path_rate == .1
    assert (train.batch_size, train.drop_last, val.batch_size) == (192, True, 288)
    assert train.dataset.encryption.name == 'plain'  # the model shuffles, after mixup
    assert train.dataset.transform.auto_augment == 'rand-m9-mstd0.5-inc1'
    assert train.dataset.transform.interpolation == 'bicubic'
    assert tuple(train.dataset.transform.scale) == (.08, 1.)
    assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'
    assert cfg.randomness == dict(seed=0, diff_rank_seed=True)


def test_pevit_evaluates_the_middle_of_256_pixels(configs, tmp_path):
    cfg = _pevit(configs)
    img = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    (tmp_path / 'a').mkdir()
    img.save(tmp_path / 'a/one.png')
    got = DATASETS.build(dict(cfg.val_dataloader.dataset, root=str(tmp_path)))[0]['inputs']
    want = img.resize((341, 256), Image.BICUBIC).crop((58, 16, 58 + 224, 16 + 224))
    np.testing.assert_array_equal(got.permute(1, 2, 0).numpy(), np.asarray(want))


@pytest.mark.parametrize('processes', [1, 8])
@pytest.mark.parametrize('count', [1000, 1024, 5003])
def test_repeated_augmentation(configs, monkeypatch, count, processes):
    cfg = _pevit(configs)
    for rank in {0, processes - 1}:
        monkeypatch.setattr(repeated_sampler, 'get_dist_info', lambda rank=rank: (rank, processes))
        sampler = DATA_SAMPLERS.build(dict(cfg.train_dataloader.sampler, dataset=range(count),
                                           seed=5))
        for epoch in (0, 3):
            sampler.set_epoch(epoch)
            want = release.drawn_indices(count, rank, processes, epoch)
            assert list(sampler) == want
            assert len(sampler) == len(want)


def test_the_first_losses_of_pevit(configs):
    """Erasing, mixup, shuffling, stochastic depth, AdamW and EMA on the same random numbers."""
    cfg = _pevit(configs, **TINY)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(.1 * torch.randn_like(value))
    wrapper = _wrapper(cfg, model)
    state = {name: _released_shape(name, value.detach().clone()).requires_grad_()
             for name, value in _released_names(model).items()}
    start = {name: value.detach().clone() for name, value in state.items()}
    reference = release.PEViT(state, TINY['num_heads'], TINY['patch_size'], .1)
    adamw = release.AdamW(state)
    hook = HOOKS.build(cfg.custom_hooks[1])
    runner = SimpleNamespace(model=model, max_epochs=1, max_iters=20, iter=0, epoch=0)
    hook.before_run(runner)
    hook.before_train(runner)
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (release.MEAN, release.STD))
    for step in range(20):
        inputs = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
        labels = torch.randint(0, CLASSES, (8, ))
        _seed(step)
        logged = model.train_step(dict(inputs=inputs, label=labels), wrapper)
        hook.after_train_iter(runner, step)
        _seed(step)
        images = release.erase((inputs / 255 - mean) / std)
        images, soft = release.mix_up(images, labels, CLASSES)
        loss = -(soft * reference(images).log_softmax(-1)).sum(-1).mean()
        loss.backward()
        adamw.step(5e-4)
        assert float(logged['loss']) == pytest.approx(loss.item(), rel=1e-5)
    drift = moved = 0.
    average = dict(hook.ema_model.module.model.named_parameters())
    for name, value in _released_names(model).items():
        drift += float((_released_shape(name, value) - state[name]).detach().abs().sum())
        moved += float((state[name] - start[name]).detach().abs().sum())
    # Keys' biases have no gradient but rounding, which AdamW enlarges.
    assert drift < .02 * moved
    torch.testing.assert_close(average['head.weight'], adamw.average['head.weight'],
                               atol=1e-6, rtol=1e-5)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def test_the_average_is_kept_and_not_evaluated(configs):
    model = MODELS.build(_pevit(configs, **TINY).model)
    hook = HOOKS.build(dict(type='KeptAverageHook', decay=.5))
    runner = SimpleNamespace(model=model, max_epochs=1, max_iters=9, iter=0, epoch=0)
    hook.before_run(runner)
    hook.before_train(runner)
    before = model.model.head.weight.detach().clone()
    with torch.no_grad():
        model.model.head.weight += 1
    hook.after_train_iter(runner, 0)
    torch.testing.assert_close(hook.ema_model.module.model.head.weight, before + .5)
    hook.before_val_epoch(runner)
    torch.testing.assert_close(model.model.head.weight, before + 1)


def test_shuffling_tokens_changes_nothing_but_the_order(configs):
    torch.manual_seed(0)
    model = MODELS.build(_pevit(configs, **TINY).model).eval().model
    images = torch.randn(3, 3, 32, 32)
    first, second = model(images), model(images)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)
    seen = []
    model.reference_encoding.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model(images)
    model.shuffle_tokens = False
    model(images)
    assert not torch.equal(*seen)
    torch.testing.assert_close(*(x.sum(1) for x in seen))


# --- Ito et al. ----------------------------------------------------------------------------

CIFARS = [('resnet20', 10), ('vgg16', 10), ('resnet20', 100), ('vgg16', 100)]


@pytest.mark.parametrize(('name', 'classes'), CIFARS)
def test_ito_settings(configs, name, classes):
    first, second = (Config.fromfile(str(configs / path)) for path in (
        f'classification/{name}_plain_cifar{classes}_release.py',
        f'protectors/{name}_cifar{classes}_release.py'))
    for cfg in (first, second):
        share = {10: .1, 100: .05}[classes]
        train, val, test = cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader
        assert (train.batch_size, train.drop_last, val.batch_size) == (128, False, 256)
        assert train.dataset.held_out == val.dataset.held_out == share
        assert (val.dataset.split, test.dataset.split) == ('held_out', 'val')
        assert f'cifar-{classes}-' in train.dataset.root
        assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict(
            type='SGD', lr=.1, momentum=.9, weight_decay=5e-4))
        step, = cfg.param_scheduler
        assert (step.type, step.milestones, step.gamma) == ('MultiStepLR', [60, 120, 160], .2)
        assert cfg.train_cfg.max_epochs == 200
        assert cfg.default_hooks.checkpoint.save_best == 'held_out/loss'
        assert cfg.custom_hooks[-1].best
    assert first.model.mean == (.485, .456, .406)
    assert first.model.std == (.229, .224, .225)
    assert second.model.classifier == first.model
    assert (second.model.alpha, second.model.get('quantize', False)) == (.01, False)
    assert second.model.perceptual.type == 'VGGDistance'
    with pytest.raises(FileNotFoundError, match='no VGG16 weights'):  # nothing stands in for it
        MODELS.build(second.model.perceptual)
    head = MODELS.build(first.model).model.head
    kinds = [type(layer).__name__ for layer in head.children()]
    assert kinds == (['Dropout', 'Linear', 'ReLU', 'Dropout', 'Linear', 'ReLU', 'Linear']
                     if name == 'vgg16' else [])


def test_the_held_out_images_are_of_the_released_split(tmp_path):
    root = write_cifar10(tmp_path / 'c', 20)
    whole, train, rest = (CifarBinary(root, split, held_out=share) for split, share in (
        ('train', 0.), ('train', .1), ('held_out', .1)))
    np.random.seed(300)  # the released script seeds NumPy and splits by its global generator
    indices = train_test_split(np.arange(len(whole)), test_size=.1, shuffle=True,
                               stratify=whole.labels)
    for part, wanted in zip((train, rest), indices, strict=True):
        assert torch.equal(part.images, whole.images[torch.from_numpy(wanted)])
    assert sorted(np.bincount(rest.labels)) == [1] * 10
    with pytest.raises(ValueError, match='held_out must be a share'):
        CifarBinary(root, 'held_out')


def test_the_loss_to_choose_by_is_a_mean_of_batches():
    metric = METRICS.build(dict(type='HeldOutLoss'))
    metric.process({}, [dict(loss=1.), dict(loss=2.)])
    metric.process({}, [dict(loss=4.)])
    assert metric.compute_metrics(metric.results) == dict(loss=2.75)


def _small_run(cfg: Config, root, work_dir) -> Runner:
    cfg.work_dir = str(work_dir)
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].update(num_workers=0, persistent_workers=False, batch_size=16)
        cfg[loader].dataset.update(root=str(root), indices=24)
    cfg.train_cfg.max_epochs = 3
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_both_stages_keep_the_best_epoch(configs, tmp_path, monkeypatch):
    """The file that stage 2 reads is of the epoch with the least loss on held-out images."""
    root = write_cifar10(tmp_path / 'c', 20)
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(str(configs / 'classification/resnet20_plain_cifar10_release.py'))
    cfg.optim_wrapper.optimizer.lr = 1.  # so that the last epoch is seldom the best
    cfg.experiment_name = 'first'
    cfg.optim_wrapper.optimizer.momentum = 0.
    stem = 'work_dirs/resnet20_plain_cifar10_release'
    _small_run(cfg, root, stem)
    best, = (tmp_path / stem).glob('best_held_out_loss_epoch_*.pth')
    written = read_state_dict(str(tmp_path / stem / 'classifier.safetensors'))
    for name, value in read_state_dict(str(best), 'state_dict').items():
        torch.testing.assert_close(written[name.removeprefix('model.')], value)

    cfg = Config.fromfile(str(configs / 'protectors/resnet20_cifar10_release.py'))
    cfg.experiment_name = 'second'
    cfg.model.protector.arch = dict(channels=(4, 8), downscale=1)
    vgg = torch.nn.Sequential(
        torch.nn.Conv2d(3, 64, 3), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Conv2d(64, 128, 3), torch.nn.ReLU(),
        torch.nn.Conv2d(128, 128, 3))
    (tmp_path / 'checkpoints').mkdir()
    write_state_dict('checkpoints/vgg.safetensors',
                     {f'features.{key}': value for key, value in vgg.state_dict().items()})
    cfg.model.perceptual.checkpoint = 'checkpoints/vgg.safetensors'
    runner = _small_run(cfg, root, 'work_dirs/second')
    best, = (tmp_path / 'work_dirs/second').glob('best_held_out_loss_epoch_*.pth')
    written = read_state_dict(str(tmp_path / 'work_dirs/second/protector.safetensors'))
    state = read_state_dict(str(best), 'state_dict')
    torch.testing.assert_close(written['head.weight'], state['protector.head.weight'])
    batch = next(iter(runner.val_dataloader))
    _check_chosen_by(runner.model.eval(), batch)


@torch.no_grad()
def _check_chosen_by(model, batch: dict) -> None:
    """CE(psi(N(s)), y) - 0.01 MSE(phi(N(s)), phi(N(x))), from values that are not rounded."""
    plain = batch['inputs'] / 255
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (release.MEAN, release.STD))
    protected = (model.protector(plain).sigmoid() - mean) / std
    features = model.perceptual.layers
    loss = functional.cross_entropy(model.classifier.model(protected), batch['label'])
    loss = loss - .01 * functional.mse_loss(features(protected), features((plain - mean) / std))
    got, *_ = model(**batch, mode='predict')
    assert got['loss'] == pytest.approx(float(loss), rel=1e-4)


def test_the_first_losses_of_stage_one(configs):
    """Normalization, cross-entropy and SGD with momentum, by their equations."""
    cfg = Config.fromfile(str(configs / 'classification/resnet20_plain_cifar10_release.py'))
    cfg.optim_wrapper.optimizer.lr = lr = 1e-3  # at 0.1 rounding grows tenfold in every step
    torch.manual_seed(0)
    model, twin = (MODELS.build(cfg.model).train() for _ in range(2))
    twin.load_state_dict(model.state_dict())
    wrapper = _wrapper(cfg, model)
    speed = {name: torch.zeros_like(value) for name, value in twin.model.named_parameters()}
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (release.MEAN, release.STD))
    for _ in range(20):
        inputs = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
        labels = torch.randint(0, 10, (16, ))
        logged = model.train_step(dict(inputs=inputs, label=labels), wrapper)
        logits = twin.model((inputs / 255 - mean) / std)
        loss = -logits.log_softmax(-1)[torch.arange(16), labels].mean()
        grads = torch.autograd.grad(loss, list(twin.model.parameters()))
        assert float(logged['loss']) == pytest.approx(loss.item(), rel=1e-3)
        with torch.no_grad():
            for (name, value), grad in zip(twin.model.named_parameters(), grads, strict=True):
                speed[name] = .9 * speed[name] + grad + 5e-4 * value
                value -= lr * speed[name]
