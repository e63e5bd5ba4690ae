"""Runners from configs, as MMDetection's tools/train.py and tools/test.py make them."""
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner, find_latest_checkpoint

from mmppvit.engine.optim import use_amp
from mmppvit.evaluation.dump_results import DumpDetResultsLessOrder
from mmppvit.utils.config_files import leaf_evaluators, load_config

__all__ = ['evaluation_runner', 'resume_from', 'training_runner', 'write_coco_results']


def training_runner(config: str, *, cfg_options: Iterable[str] = (), work_dir: str | None = None,
                    launcher: str = 'none', amp: bool = False, auto_scale_lr: bool = False,
                    resume: str | None = None) -> Runner:
    """The runner of a training.

    Args:
        config (str): Config file, or the name of a packaged one.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.
        work_dir (str, optional): Folder for logs and checkpoints.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
        amp (bool): Mixed precision.
        auto_scale_lr (bool): Scale the learning rate by the batch size.
        resume (str, optional): Checkpoint to go on from; 'auto' for the latest in the work folder.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The options do not fit the config.
    """
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(config, cfg_options, work_dir, launcher)
    if amp:
        use_amp(cfg)
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError('--auto-scale-lr needs auto_scale_lr.base_batch_size in the config')
        cfg.auto_scale_lr.enable = True
    resume_from(cfg, resume)
    if cfg.get('load_from'):
        _check_checkpoint(cfg.load_from)
    if not cfg.get('train_dataloader'):
        raise ValueError(f'{config} has no train_dataloader: choose a config that trains')
    return _build(cfg)


def resume_from(cfg: Config, resume: str | None) -> None:
    """Let ``cfg`` go on from a checkpoint, or from the latest one in its work folder ('auto')."""
    if resume:
        cfg.resume = True
        cfg.load_from = _moved_checkpoint(cfg.work_dir) if resume == 'auto' else resume
        if resume != 'auto':
            _check_checkpoint(resume)


def _moved_checkpoint(work_dir: str) -> str | None:
    """The latest checkpoint, if its folder was moved: MMEngine wrote down where it once lay."""
    latest = find_latest_checkpoint(work_dir)
    if latest is None or '://' in latest or os.path.exists(latest):
        return None  # MMEngine finds it, in a bucket too
    here = os.path.join(work_dir, os.path.basename(latest))
    if not os.path.isfile(here):
        raise FileNotFoundError(f'{work_dir}/last_checkpoint names {latest}, which is not there, '
                                f'nor is {here}: name a checkpoint after --resume')
    return here


def evaluation_runner(config: str, checkpoint: str, *, cfg_options: Iterable[str] = (),
                   work_dir: str | None = None, launcher: str = 'none', out: str | None = None,
                   show: bool = False, show_dir: str | None = None, wait_time: float = 2.,
                   tta: bool = False) -> Runner:
    """The runner of an evaluation.

    Args:
        config (str): Config file, or the name of a packaged one.
        checkpoint (str): File or URL.
        cfg_options (Iterable[str]): 'KEY=VALUE' each.
        work_dir (str, optional): Folder for the log and the metrics.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
        out (str, optional): PREFIX.json for COCO results, FILE.pkl for all predictions.
        show (bool): Show the predictions.
        show_dir (str, optional): Draw the predictions into this folder.
        wait_time (float): Seconds per shown image.
        tta (bool): Average over the image and its mirror image.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The options do not fit the config.
    """
    if out and not out.endswith(('.json', '.pkl', '.pickle')):
        raise ValueError(f'--out {out}: must end in .json or .pkl')
    setup_cache_size_limit_of_dynamo()
    cfg = load_config(config, cfg_options, work_dir, launcher)
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise ValueError(f'{config} has no test_dataloader and test_evaluator: choose a config '
                         'that evaluates')
    _check_checkpoint(checkpoint)
    cfg.load_from = checkpoint
    # A part of the weights would give a number that means nothing.
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or []
                        if hook.get('type') != 'CheckedLoadHook']
    cfg.custom_hooks.append(dict(type='CheckedLoadHook', strict=True))
    if show or show_dir:
        _show_predictions(cfg, show, show_dir, wait_time)
    if tta:
        _use_tta(cfg)
    if out and out.endswith('.json'):
        write_coco_results(cfg, out)
    runner = _build(cfg)
    if out and not out.endswith('.json'):
        runner.test_evaluator.metrics.append(DumpDetResultsLessOrder(out_file_path=out))
    return runner


def write_coco_results(cfg: Config, out: str) -> None:
    """Let the COCO metrics keep their results under the prefix ``out`` less ``.json``.

    Several get a number each, as one would replace the results of another.

    Raises:
        ValueError: No metric of the config writes COCO results.
    """
    prefix = out[:-len('.json')]
    metrics = [metric for metric in leaf_evaluators(cfg.test_evaluator)
               if 'Coco' in str(metric.get('type'))]
    if not metrics:
        raise ValueError(f'--out {out}: no metric of test_evaluator writes COCO results; use .pkl')
    for count, metric in enumerate(metrics, 1):
        metric.outfile_prefix = prefix if len(metrics) == 1 else f'{prefix}-{count}'


def _check_checkpoint(checkpoint: str) -> None:
    if '://' in checkpoint:
        return
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'no checkpoint {checkpoint}: name a .pth that training wrote')
    with open(checkpoint, 'rb') as file:
        if file.read(2) not in (b'PK', b'\x80\x02'):  # zip, and the pickle of old versions
            raise ValueError(f'{checkpoint} is not a checkpoint that torch wrote: name a .pth that '
                             'training wrote')


def _build(cfg: Config) -> Runner:
    Path(cfg.work_dir).mkdir(parents=True, exist_ok=True)  # what stands in the way is named
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def _show_predictions(cfg: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError('--show and --show-dir need default_hooks.visualization in the config: '
                         'dict(type="DetVisualizationHook")')
    hook.update(draw=True)
    if hook.get('type') == 'DetVisualizationHook':
        hook.update(type='FolderVisualizationHook')  # images of one name in two folders
    if show:
        hook.update(show=True, wait_time=wait_time)
    if show_dir:
        hook.update(test_out_dir=show_dir)


def _use_tta(cfg: Config) -> None:
    """Average the predictions on the image and its mirror image, unless the config knows better.

    Shuffled images are flipped in order, and shuffled again for the backbone.
    """
    cfg.setdefault('tta_model', dict(
        type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=.5), max_per_img=100)))
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
                 'flip_direction')
    steps = dataset.pipeline[:-1]
    shuffles = [step for step in steps if step['type'] == 'ShufflePatches']
    steps = [step for step in steps if step not in shuffles]
    keyed = str(cfg.model.get('type')).endswith('KeyedOrder')
    restored = []
    if keyed and not shuffles:  # sealed so
        restored = [[dict(type='UnshufflePatches')]]  # in each of the two ways
        shuffles = [dict(type='ShufflePatches', fresh=True)]
    # The order goes to a keyed detector, and nowhere else.
    pack = dict(type='PackSealedInputs' if keyed else 'PackDetInputs', meta_keys=meta_keys)
    cfg.setdefault('tta_pipeline', [*steps, dict(type='TestTimeAug', transforms=[
        *restored, [dict(type='RandomFlip', prob=1.), dict(type='RandomFlip', prob=0.)],
        *([step] for step in shuffles), [pack]])])
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline
