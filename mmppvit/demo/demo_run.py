"""The demo: everything that an owner, a trainer and an attacker do, one after the other."""
from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from mmppvit.attacks.attack_run import attack_and_report
from mmppvit.attacks.attackers.catalogue import find_attackers
from mmppvit.attacks.runner import AttackSettings, load_reconstructions
from mmppvit.attacks.scoring.image_metrics import ssim
from mmppvit.datasets.synthetic_shapes import write_synthetic_shapes
from mmppvit.demo.coco_folders import CocoSplit, find_split
from mmppvit.demo.demo_sheet import Attacked, detect, write_sheet
from mmppvit.demo.quiet_training import clock, quiet_console, train
from mmppvit.demo.work_amount import choose_epochs
from mmppvit.encryption import Key, Scheme
from mmppvit.engine import use_amp
from mmppvit.engine.step_time import seconds_per_step
from mmppvit.sealed import MANIFEST, Manifest, SealJob, seal_dataset
from mmppvit.utils.config_files import load_config
from mmppvit.utils.cpu_features import has_fast_bfloat16
from mmppvit.visualization import distinct_colors

__all__ = ['DemoOptions', 'run_demo']

CONFIG = 'demo/atss_pevit_sealed_shapes'
SCHEME = Scheme('mix+center+shuffle', center_strength=1.)  # what docs/sealed-data.md recommends
SPLITS = ('train2017', 'val2017')
RESERVE = 40  # seconds: processes that start, images that attackers reconstruct, the sheet


@dataclass
class DemoOptions:
    """What the demo does.

    Args:
        work_dir (Path): Folder of everything that is written.
        data (Path, optional): A data set in COCO's layout; default: synthetic images.
        scale (tuple, optional): (w, h) that images of ``data`` are fitted into when sealed.
        minutes (float): For all of it; the number of epochs follows from the machine's speed.
        epochs (int, optional): Instead of ``minutes``.
        num_train (int): Synthetic images to train on.
        num_val (int): Synthetic images to evaluate on.
        num_rows (int): Images on the sheet, which the attacker attacks.
        score_thr (float): Of the boxes on the sheet.
        attacks (str): Attackers, with commas between them; the best one is shown.
        attack_seconds (float): That each attacker may learn.
        started (float): When the minutes began, as ``time.time()``.
    """
    work_dir: Path = Path('work_dirs/demo')
    data: Path | None = None
    scale: tuple[int, int] | None = None
    minutes: float = 4.5
    epochs: int | None = None
    num_train: int = 640
    num_val: int = 96
    num_rows: int = 3
    score_thr: float = .3
    attacks: str = 'vit,jigsaw-mgc'  # the second learns nothing, and so ends on any machine
    attack_seconds: float = 20.
    started: float = field(default_factory=time.time)

    @property
    def seconds_left(self) -> float:
        """For training: less what is spent, and what the attackers will need."""
        reserved = RESERVE + self.attack_seconds * len(find_attackers(self.attacks))
        return max(60 * self.minutes - (time.time() - self.started) - reserved, 0.)


def run_demo(options: DemoOptions) -> str:
    """Make a key, seal, train, evaluate, attack, and draw the sheet.

    Returns:
        str: A summary, which lies in ``work_dir/summary.txt``, too.

    Raises:
        FileExistsError: A folder in ``work_dir`` holds something else.
        FileNotFoundError: ``data`` is not in COCO's layout.
        ValueError: An option makes no sense.
    """
    start, work = options.started, options.work_dir
    find_attackers(options.attacks)
    with quiet_console(work / 'log.txt') as console:

        def say(text: str) -> None:
            print(f'{clock(time.time() - start)}  {text}', file=console, flush=True)

        splits = prepare_data(options, say)
        key_file, key = prepare_key(work, say)
        sealed = seal(options, splits, key, say)
        os.environ.update(MMPPVIT_KEY=str(key_file), MMPPVIT_SEALED=str(work / 'sealed'))
        cfg = prepare_config(options, splits[0], sealed[0])
        chosen = choose_work(options, cfg, say)
        runner, metrics, checkpoint = train(cfg, console)
        say('attacking the sealed images')
        report, victims, attacker = attack(options, splits[1], key)
        dataset = runner.val_dataloader.dataset
        classes = dataset.metainfo['classes']
        palette = dataset.metainfo.get('palette') or distinct_colors(len(classes))
        found = detect(runner.model, dataset, [victim.name for victim in victims],
                       options.score_thr)
        write_sheet(work / 'sheet.png', sealed[1], key, splits[1].img_dir, victims, found,
                    classes, palette, attacker)
    text = summary(options, chosen, metrics, report, attacker, key_file, checkpoint) + \
        f'\n\n{clock(time.time() - start)} minutes altogether'
    (work / 'summary.txt').write_text(text + '\n')
    return text


def prepare_data(options: DemoOptions, say) -> list[CocoSplit]:
    """Training and validation images, made if there are none."""
    root = options.data
    if root is None:
        root = options.work_dir / 'synthetic_shapes'
        say(f'drawing {options.num_train} + {options.num_val} images into {root}')
        write_synthetic_shapes(root, options.num_train, options.num_val)
    return [find_split(root, name) for name in ('train', 'val')]


def prepare_key(work: Path, say) -> tuple[Path, Key]:
    path = work / 'owner.key'
    work.mkdir(parents=True, exist_ok=True)
    key = Key.load(path) if path.exists() else Key.create(path)
    say(f'key {path}, fingerprint {key.fingerprint}')
    return path, key


def seal(options: DemoOptions, splits: Sequence[CocoSplit], key: Key, say) -> list[Manifest]:
    """Seal both splits anew."""
    manifests = []
    for name, split in zip(SPLITS, splits, strict=True):
        out = options.work_dir / 'sealed' / name
        if (out / MANIFEST).is_file():
            shutil.rmtree(out)  # of an earlier demo
        report = seal_dataset(SealJob(
            split.img_dir, out, SCHEME, split.ann_file, key=key, scales=(options.scale, )),
            resume=True)
        say(f'sealed {report.written} images into {out} ({SCHEME.name})')
        manifests.append(Manifest.load(out))
    return manifests


def prepare_config(options: DemoOptions, split: CocoSplit, sealed: Manifest) -> Config:
    mean, std = pixel_statistics(sealed)
    cfg = load_config(CONFIG, work_dir=str(options.work_dir / 'training'), cfg_options={
        'model.data_preprocessor.mean': mean, 'model.data_preprocessor.std': std,
        **({} if options.data is None else {'custom_classes': split.classes()})})
    if has_fast_bfloat16():
        use_amp(cfg)
    return cfg


def pixel_statistics(sealed: Manifest, count: int = 64) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the channels, RGB, of the first images."""
    images = [cv2.imread(str(sealed.root / image.file)).reshape(-1, 3)
              for image in sealed.images[:count]]
    pixels = np.concatenate(images)[:, ::-1]
    return pixels.mean(0).round(2).tolist(), np.maximum(pixels.std(0), 1.).round(2).tolist()


def choose_work(options: DemoOptions, cfg: Config, say) -> str:
    """Set the number of epochs in ``cfg``; says how it was found."""
    if options.epochs is not None:
        epochs, text = options.epochs, f'{options.epochs} epochs, as asked for'
    else:
        step = seconds_per_step(cfg)
        steps = len(Runner.build_dataloader(cfg.train_dataloader))
        seconds = options.seconds_left
        epochs = choose_epochs(step, steps, seconds)
        text = (f'{epochs} epochs of {steps} steps: a step takes {1000 * step:.0f} ms here, and '
                f'{seconds:.0f} s of {options.minutes:g} minutes are left for it')
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    for scheduler in cfg.param_scheduler:
        if 'T_max' in scheduler:
            scheduler.T_max = epochs
    say(f'training {text}')
    return text


def attack(options: DemoOptions, split: CocoSplit, key: Key) -> tuple[dict, list[Attacked], str]:
    """The report, the victims as the best attacker reconstructed them, and its name."""
    out = options.work_dir / 'attack'
    count = len(find_attackers(options.attacks))
    settings = AttackSettings(
        str(options.work_dir / 'sealed' / SPLITS[1]), str(split.img_dir),
        num_victims=options.num_rows, budget=count * options.attack_seconds, threads=2)
    report, _ = attack_and_report(settings, out, attacks=options.attacks, key=key)
    rows = [row for row in report['rows'] if row['status'] == 'done']
    if not rows:
        raise ValueError(f'no attack came to its end, see {out / "report.html"}: choose others by '
                         '--attacks, or more --attack-seconds')
    best = max(rows, key=lambda row: row['metrics']['ssim']['mean'])['name']
    victims = settings.load(key).victims
    reconstructed = load_reconstructions(out, best, len(victims))
    return report, [Attacked(victim.name, found.img, ssim(victim.plain, found.img))
                    for victim, found in zip(victims, reconstructed, strict=True)], best


def summary(options: DemoOptions, chosen: str, metrics: Mapping[str, float], report: Mapping,
            attacker: str, key_file: Path, checkpoint: Path) -> str:
    work = options.work_dir
    # CocoMetric returns no figures when nothing at all is detected.
    mean_ap, ap50 = (metrics.get(f'coco/bbox_{key}', 0.) for key in ('mAP', 'mAP_50'))
    row = next(row for row in report['rows'] if row['name'] == attacker)
    reached, floor = (entry['metrics']['ssim']['mean'] for entry in (row, report['floor']))
    lines = [
        '', f'COCO bbox mAP on the sealed validation images: {mean_ap:.3f}  (AP50 {ap50:.3f})',
        f'Best attack: {attacker}, SSIM {reached:.2f} to the plain images; one mean image in place '
        f'of all has {floor:.2f}', f'Training: {chosen}', '',
        f'Look at       {work / "sheet.png"}', f'Key           {key_file}',
        f'Sealed files  {work / "sealed"}', f'Attack        {work / "attack/report.html"}',
        f'Log           {work / "log.txt"}', f'Checkpoint    {checkpoint}', '',
        'The same on your own images:', '  mmppvit demo --data DIR    (in the layout of COCO)',
        '  mmppvit seal --help        to seal your own data set']
    return '\n'.join(lines)
