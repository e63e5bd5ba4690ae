"""What a host learns in a whole training, and what each defense costs in mAP and bytes.

    python benchmarks/two_party_leaks.py --out benchmarks/two_party_leaks.csv

Each row is a training of its own, in a process of its own, with a host on loopback that keeps all
that it receives, as ``mmppvit host --record``; then it is attacked, as ``mmppvit attack-host``
does. ``single`` trains in one process, for the mAP. WIDTH and HEIGHT are those of the config.
"""
from __future__ import annotations

import argparse
import csv
import os
import shutil
import time
from pathlib import Path

from own_process import result_of

CONFIG = 'two_party/atss_pevit-tiny_mix-center_light_bccd'
# No convolution sees more than one token: 1x1 everywhere, and no level coarser than the tokens.
POINTWISE = {'model.neck.kernel_size': 1, 'model.bbox_head.stacked_convs': 0,
             'model.bbox_head.pred_kernel_size': 1}
QUESTIONS = ('neighbors', 'neighbors, by the mean', 'neighbors, learned', 'objects',
             'objects, learned', 'classes', 'same box', 'box size')
FIELDS = ('config', 'size', 'epochs', 'seed', 'defense', 'mAP', 'AP50', 'bytes_up', 'bytes_down',
          'images', 'steps', *(f'{q}{end}' for q in QUESTIONS for end in (
              '', ': patches', ': chance')), 'seconds')
SETTINGS: dict[str, dict] = {
    'single': {},
    'nothing, float32': {'wire': 'float32'},
    'nothing': {},
    'int8': {'grad_wire': 'int8'},
    'sign': {'grad_wire': 'sign'},
    'drop .75': {'defense': dict(drop=.75)},
    'drop .95': {'defense': dict(drop=.95)},
    'clip 1, noise 1': {'defense': dict(clip=1., noise=1.)},
    'clip 1, noise 4': {'defense': dict(clip=1., noise=4.)},
    'clip 1, noise 16': {'defense': dict(clip=1., noise=16.)},
    'group 4': {'defense': dict(group=4)},
    'group 16': {'defense': dict(group=16)},
    'group 64': {'defense': dict(group=64)},
    'group of all': {'defense': dict(group=10**6)},
    'pointwise head': POINTWISE,
    'frozen': {'frozen_stages': 6},
    'frozen, pretrained': {'arch': 'small', 'frozen_stages': 12},
}


def build_config(name: str, args: argparse.Namespace, folder: Path, port: int):
    """The config of a setting."""
    from mmppvit.utils.config_files import load_config
    cfg = load_config(args.config, [], work_dir=str(folder / 'owner'))
    backbone = cfg.model.backbone
    backbone.update(host=f'127.0.0.1:{port}', certificates=None, patience=3600.)
    for key, value in SETTINGS[name].items():
        if '.' in key:
            cfg.merge_from_dict({key: value})
        else:
            backbone[key] = dict(value, seed=args.seed) if key == 'defense' else value
    if name == 'frozen, pretrained':
        backbone.init_cfg = dict(type='Pretrained', checkpoint=args.pretrained)
        cfg.model.neck.in_channels = 384
    if name == 'single':
        backbone.type = 'PEViT'
        for key in ('host', 'certificates', 'wire', 'patience'):
            backbone.pop(key)
    cfg.train_cfg.update(max_epochs=args.epochs, val_interval=args.epochs)
    cfg.param_scheduler[-1].update(end=args.epochs, T_max=args.epochs)
    cfg.default_hooks.checkpoint.update(interval=args.epochs, save_best=None)
    for part in (cfg.train_dataloader, cfg.val_dataloader):
        part.update(num_workers=0, persistent_workers=False)
    cfg.randomness = dict(seed=args.seed)
    return cfg


def measure(pipe, name: str, args: argparse.Namespace, folder: Path) -> None:
    """Train, attack, and send a row."""
    import torch
    torch.set_num_threads(1)
    from mmengine.runner import Runner

    from mmppvit.two_party.host import recording, start_host
    from mmppvit.two_party.host_session import HostSession
    record = folder / 'received.bin'
    record.unlink(missing_ok=True)
    session = HostSession(folder / 'host', snapshot_every=10**6)
    server, port = start_host(recording(session.handle, record), '127.0.0.1:0', None, 1e12)
    start = time.monotonic()
    cfg = build_config(name, args, folder, port)
    runner = Runner.from_cfg(cfg)
    sent = count_bytes(runner)
    runner.train()
    server.stop(0).wait()
    images = len(runner.train_dataloader.dataset) * args.epochs
    row = dict(defense=name, bytes_up=round(sent[0] / images), bytes_down=round(sent[1] / images))
    for key, metric in (('mAP', 'bbox_mAP'), ('AP50', 'bbox_mAP_50')):
        value = runner.message_hub.get_scalar(f'val/coco/{metric}').current()
        row[key] = f'{float(value):.3f}'
    if name != 'single' and not runner.model.backbone.frozen:
        row.update(attack(record, cfg))
    row['seconds'] = round(time.monotonic() - start)
    pipe.send(row)


def count_bytes(runner) -> list[int]:
    """Bytes sent and received until the end of the last epoch, evaluation left out."""
    sent, inner = [0, 0], runner.call_hook

    def call_hook(hook: str, **kwargs) -> None:
        link = getattr(runner.model.backbone, '_link', None)
        if hook == 'after_train_epoch' and link is not None:
            sent[:] = link.connection.sent, link.connection.received
        inner(hook, **kwargs)

    runner.call_hook = call_hook
    return sent


def attack(record: Path, cfg) -> dict:
    """Scores of the attackers by gradients, and of the same by patches alone."""
    from mmppvit.attacks.host_view.host_recording import read_recording
    from mmppvit.attacks.host_view.host_scores import score_host
    from mmppvit.attacks.host_view.host_truth import true_images
    seen, truth = read_recording(record), true_images(cfg)
    names = sorted(set(seen) & set(truth))
    row = dict(images=len(names), steps=f'{sum(seen[n].steps for n in names) / len(names):.1f}')
    for question, found in score_host([seen[n] for n in names],
                                      [truth[n] for n in names]).items():
        row[question] = f'{found["gradients"]:.3f}'
        row[f'{question}: patches'] = f'{found["patches"]:.3f}'
        row[f'{question}: chance'] = f'{found["chance"]:.3f}'
    return row


def run(name: str, args: argparse.Namespace) -> dict:
    """A setting in a process of its own."""
    folder = args.work_dir / name.replace(' ', '_').replace(',', '')
    (folder / 'owner').mkdir(parents=True, exist_ok=True)
    try:
        return result_of(measure, name, args, folder)
    finally:
        if not args.keep:
            shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=CONFIG)
    parser.add_argument('--epochs', type=int, default=5)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--settings', nargs='+', default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument('--pretrained', help='ViT-S weights for the setting of that name')
    parser.add_argument('--keep', action='store_true', help='keep recordings and checkpoints')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/two_party_leaks'))
    parser.add_argument('--out', type=Path, default=Path('benchmarks/two_party_leaks.csv'))
    args = parser.parse_args()
    for name in args.settings:
        row = dict(run(name, args), config=args.config, epochs=args.epochs, seed=args.seed,
                   size=f'{os.environ.get("WIDTH", 512)}x{os.environ.get("HEIGHT", 384)}')
        print(row, flush=True)
        exists = args.out.exists()
        with open(args.out, 'a', newline='') as file:
            writer = csv.DictWriter(file, FIELDS)
            if not exists:
                writer.writeheader()
            writer.writerow(row)


if __name__ == '__main__':
    main()
