"""``mmppvit seal``."""
from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import click

from mmppvit.cli.options import Command, Many, PathType, key_options
from mmppvit.encryption import BASELINES, LEARNED, SCHEMES, scheme_names
from mmppvit.utils.printable import printable

EXAMPLES = """
mmppvit seal --img-dir images --ann boxes.json --out sealed/train \\
    --scheme mix+center+shuffle --key-file owner.key --scale 1333x800 --num-workers 8
mmppvit seal --img-dir images --out sealed --scheme mix            # a folder without annotations
mmppvit seal --from yolo --img-dir train/images --ann data.yaml --out sealed --scheme mix
mmppvit seal ... --resume                                          # after an interruption
mmppvit seal ... --update --remove                                 # other images than before
mmppvit seal ... --dry-run                                         # check, write nothing
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option('--img-dir', type=PathType(), required=True, help='Folder of the plain images.')
@click.option('--ann', type=PathType(),
              help='COCO json; without it, every image below --img-dir is sealed. With --from '
              'yolo its data.yaml, with voc the folder of XML files.')
@click.option('--from', 'source_format', type=click.Choice(['coco', 'yolo', 'voc']),
              default='coco', help='Format of the annotations. YOLO and VOC need '
              '`pip install "mmppvit[formats]"`.')
@click.option('--out', type=PathType(), required=True, help='Folder to write.')
@click.option('--scheme', type=click.Choice(scheme_names()), required=True,
              metavar='NAME', help=f'{", ".join(SCHEMES)} or {LEARNED}; to compare with: '
              f'{", ".join(BASELINES)}.')
@click.option('--protector', type=PathType(), help='Of scheme learned: the network, a '
              'protector.safetensors or a checkpoint of its training.')
@click.option('--patch-size', type=int, help='Pixels; default 16, and 1 for learned, whose images '
              'then keep their size.')
@click.option('--grid', type=int, help='Sub-patches per side, or the factor of downsampling; '
              'default 2 for schemes that mix or downsample.')
@click.option('--strength', type=float, default=0., help='Of blur and noise sigma, in pixels and '
              'levels; of pixelate the side of a block in pixels.')
@click.option('--center-strength', type=float,
              help='Share of the mean to take away; default 1 for schemes that center.')
@click.option('--normalize', is_flag=True,
              help='Of centered patches, bring the contrast to one level, too.')
@click.option('--gain', type=float,
              help='Of centered patches: multiply what is left of them, and round once; default 1.')
@click.option('--erode', type=int, default=0,
              help='Pixels to cut away around each shuffled patch; default 0.')
@click.option('--drop', type=float, default=0.,
              help='Share of the shuffled patches to blank; default 0.')
@click.option('--scale', 'scales', cls=Many, metavar='WxH...',
              help='Fit images into this size, as Resize(keep_ratio=True) does; several for '
              'multi-scale training; default: as they are.')
@click.option('--padding', type=click.Choice(['fit', 'mirror', 'zero']),
              help='Of images that are no whole patches. fit: rescale them to whole patches, so '
              'that nothing marks the border (default of mix+shuffle and mix+center+shuffle); '
              'mirror: add their mirrored border and keep all pixels (default of the others); '
              'zero: add black.')
@click.option('--format', 'image_format', type=click.Choice(['png', 'webp']), default='png',
              help='Both lossless: png (default) is stored, fast to write and read; webp is half '
              'as large and very slow to write.')
@click.option('--container', type=click.Choice(['folder', 'wds']), default='folder',
              help='wds: tar shards of 256 MiB in place of a folder of images (default), as '
              'mmppvit pack makes. They cannot be updated or repaired.')
@click.option('--window', type=float, nargs=2, metavar='LO HI',
              help='Of images of more than 8 bits (X-ray, CT, thermal): the values that become '
              'black and white. Without it, those that fill few of their levels are skipped.')
@click.option('--num-workers', type=click.IntRange(0), default=0, help='Processes; default: none.')
@click.option('--engine', type=click.Choice(['local', 'dask', 'ray']), default='local',
              help='Who runs the workers: processes of this machine (default), or Dask or Ray '
              '(pip install "mmppvit[dask]" or "mmppvit[ray]").')
@click.option('--engine-address', metavar='ADDRESS', help='Of a running cluster, such as '
              'tcp://host:8786 of Dask or auto of Ray; default: --num-workers on this machine.')
@click.option('--shard', default='0/1', metavar='i/n',
              help='Seal the i-th of n parts, counted from 0; the last to finish writes the '
              'manifest.')
@click.option('--resume', is_flag=True, help='Go on with an interrupted run.')
@click.option('--update', is_flag=True, help='The finished set in --out gets the images that '
              '--ann or --img-dir has now: new and changed ones are sealed. Until all is done it '
              'stays as it was; the same command goes on after an interruption.')
@click.option('--remove', is_flag=True, help='With --update: take out images that are no longer '
              'there, which is refused otherwise.')
@click.option('--name', default=None, help='What the data set is called, signed with the key; '
              'default: the name of --out.')
@click.option('--role', default='', help='What it is for, such as train; signed as well.')
@click.option('--counter', type=click.IntRange(1), default=1, metavar='N',
              help='Of the first set of this name 1 (default), one more for each that replaces '
              'it; a resumed one that changes counts on by itself.')
@click.option('--pseudonyms', is_flag=True, help='Give files names that only the key turns back '
              '(mmppvit names).')
@click.option('--seal-metadata', is_flag=True, help='Encrypt boxes, names and sizes for the '
              'holder of the key; implies --pseudonyms.')
@click.option('--dry-run', is_flag=True, help='Make all checks, write nothing.')
@click.option('--json', 'as_json', is_flag=True, help='Print one JSON object.')
@key_options
def command(source_format: str, img_dir: Path, ann: Path | None, **options) -> int:
    """Seal a data set, or a folder of images: encrypted files that can be handed over.

    The result is a folder of lossless images with a COCO json (boxes stay in the plain frame, links
    and dates are left out) and manifest.json. Whatever interrupts it, the same command with
    --resume goes on. Exit status 0: all is sealed; 1: some images were skipped, see the list; 2:
    nothing was done.
    """
    from mmppvit.annotations.other_formats import coco_file
    with coco_file(source_format, img_dir, ann) as path:
        return _seal(img_dir=img_dir, ann=path, **options)


def _seal(resume: bool, num_workers: int, dry_run: bool, as_json: bool, update: bool, remove: bool,
          engine: str, engine_address: str | None, **options) -> int:
    from mmppvit.cli.console import progress_bar, progress_bars
    from mmppvit.sealed import seal_dataset
    from mmppvit.sealed.dry_run import plan_sealing
    if remove and not update:
        raise click.UsageError('--remove takes images out of a finished set: give --update as well')
    job = make_job(**options)
    if dry_run:
        with progress_bar('Checking') as progress:
            plan = plan_sealing(job, resume, progress, update=update, remove=remove)
        click.echo(as_text(job, plan) if as_json else describe_plan(job, plan))
        return int(bool(plan.problems))
    with progress_bars('Sealing', 'Packing') as (progress, packing):
        report = seal_dataset(job, resume, num_workers, progress, update=update,
                              remove=remove, engine=engine, address=engine_address,
                              key_source=options['key_source'], packing=packing)
    click.echo(as_text(job, report) if as_json else describe(job, report))
    return int(bool(report.skipped))


def make_job(scheme: str, scales: tuple[str, ...], shard: str, img_dir: Path, out: Path,
             ann: Path | None, image_format: str, key_source, name: str | None, role: str,
             counter: int, pseudonyms: bool, seal_metadata: bool,
             window: tuple[float, float] | None, padding: str | None, container: str = 'folder',
             **options):
    """The :class:`mmppvit.sealed.SealJob` that the options ask for."""
    from mmppvit.cli.console import parse_shard, parse_size
    from mmppvit.encryption.schemes.from_options import (
        refuse_options_of_others,
        scheme_from_options,
    )
    from mmppvit.sealed import SealJob
    if scheme == LEARNED:
        patch_size = options.pop('patch_size')
        refuse_options_of_others(**options)
        from mmppvit.models.protectors.protector_scheme import learned_scheme  # needs PyTorch
        chosen = learned_scheme(options['protector'], 1 if patch_size is None else patch_size)
    else:
        chosen = scheme_from_options(scheme, **options)
    source = key_source.find() if chosen.shuffles or key_source.is_given else None
    return SealJob(
        img_dir=img_dir, out=out, scheme=chosen, ann_file=ann, key=source and source.load(),
        scales=tuple(map(parse_size, scales)) or (None, ), image_format=image_format,
        shard=parse_shard(shard), window=window,
        name=_default_name(out) if name is None else name, role=role, counter=counter,
        pseudonyms=pseudonyms, seal_metadata=seal_metadata, padding=padding, container=container)


def _default_name(out: Path) -> str:
    """That of the folder, as far as a name may have its characters."""
    return re.sub(r'[^\w.+ -]', '_', out.absolute().name)[:100]


def as_text(job, result) -> str:
    """JSON of a :class:`mmppvit.sealed.SealReport` or of a ``SealPlan``."""
    return json.dumps(dict(out=str(job.out), scheme=job.scheme.to_dict(), **asdict(result)),
                      indent=1)


def describe(job, report) -> str:
    lines = [f'{job.out}: {report.written} files written, {report.kept} kept from before, '
             f'{len(report.skipped)} images skipped'
             + (f', {len(report.removed)} removed' if report.removed else '')]
    lines += [f'  skipped {printable(name)}: {printable(reason)}'
              for name, reason in report.skipped]
    lines += [f'  warning: {printable(text)}' for text in report.warnings]
    lines += [f'  {printable(remark)}' for remark in report.remarks]
    if report.clipped is not None:
        lines.append(f'  clipped by the gain: {report.clipped:.3%} of the values')
    if report.dropped_fields:
        lines.append(f'  left out of the json: {", ".join(report.dropped_fields)}')
    if not report.complete:
        lines.append('  other shards are not through: there is no manifest yet')
    elif report.skipped:
        remedy = 'seal into another --out: shards do not change' if job.container == 'wds' else \
            '--resume' + ' without --shard' * (job.shard[1] > 1)
        lines.append(f'  The data set is complete without them. To add them, repair them and '
                     f'{remedy}.')
    return '\n'.join(lines)


def describe_plan(job, plan) -> str:
    lines = [f'{job.out}: {plan.images} images would give {plan.files} files, '
             f'{len(plan.problems)} would be skipped; nothing was written']
    if plan.added or plan.changed or plan.removed:
        lines.append(f'  of the set {len(plan.added)} added, {len(plan.changed)} sealed again, '
                     f'{len(plan.removed)} removed')
        lines += [f'  {what} {printable(name)}' for what in ('added', 'changed', 'removed')
                  for name in getattr(plan, what)]
    lines += [f'  {printable(name)}: {printable(reason)}' for name, reason in plan.problems]
    return '\n'.join(lines + [f'  {printable(remark)}' for remark in plan.remarks])
