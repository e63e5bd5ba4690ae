"""The adaptation of a file of weights, with what is needed to go on after an interruption."""
from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmppvit.models.checkpoints import read_state_dict, write_state_dict
from mmppvit.models.checkpoints.vit_shapes import name_of
from mmppvit.transfer.distillation import LOSSES, Distiller, teacher_tokens, trainable_names
from mmppvit.transfer.positioned_vit import arch_of
from mmppvit.transfer.scheme_text import scheme_from_text
from mmppvit.transfer.unlabeled_views import draw_views, find_images
from mmppvit.transfer.vit_features import (
    IMAGENET,
    PixelScale,
    build_backbone,
    encrypt_views,
    measure_scale,
    positions_of,
)
from mmppvit.utils.atomic import write_atomic

__all__ = ['DistillJob', 'DistillResult', 'distill']

_CACHE = 4 << 30  # bytes that the teacher's tokens may take


@dataclass(frozen=True)
class DistillJob:
    """What to adapt, to what, and how.

    Args:
        teacher (Path): Checkpoint of a plain ViT with positions.
        images (Path): Folder of plain images; no labels are read.
        out (Path): ``.safetensors`` or ``.pth`` of the adapted PEViT.
        scheme (str): See :func:`~mmppvit.transfer.scheme_text.scheme_from_text`.
        ann (Path, optional): COCO json: only the images that it names.
        patch_size (int): Side of a patch of the plain image in pixels.
        cells (int): Side of a view in patches.
        views (int): Views of an image.
        smallest (float): Side of the smallest view in shorter sides of the image.
        epochs (int): Passes over the views.
        batch (int): Views of a step.
        lr (float, optional): Highest learning rate; None: 1e-3 for 'embed', else 2e-4.
        trainable (str): See :func:`~mmppvit.transfer.distillation.trainable_names`.
        loss (str): See :func:`~mmppvit.transfer.distillation.token_loss`.
        start (Path, optional): Checkpoint that the student starts from; None: the teacher's.
        class_token (bool): The student keeps the class token, if the weights have one.
        kernel (str): How a kernel of another patch size is resampled.
        statistics (str): 'imagenet', or 'measured' on encrypted views.
        reference_encoding (bool): Of the student.
        held_out (float): Share of the images to measure the loss on.
        num_heads (int, optional): See :func:`~mmppvit.transfer.positioned_vit.arch_of`.
        seed (int): Of all draws.
        device (str): 'cpu', 'cuda', ... An interrupted run may go on on another one.

    Raises:
        ValueError: A value makes no sense.
    """
    teacher: Path
    images: Path
    out: Path
    scheme: str = 'mix+center'
    ann: Path | None = None
    patch_size: int = 16
    cells: int = 8
    views: int = 4
    smallest: float = .25
    epochs: int = 3
    batch: int = 16
    lr: float | None = None
    trainable: str = 'all'
    loss: str = 'smooth-l1'
    start: Path | None = None
    class_token: bool = True
    kernel: str = 'pinv'
    statistics: str = 'imagenet'
    reference_encoding: bool = False
    held_out: float = .05
    num_heads: int | None = None
    seed: int = 0
    device: str = 'cpu'

    def __post_init__(self) -> None:
        scheme_from_text(self.scheme, self.patch_size)
        if self.out.suffix not in ('.safetensors', '.pth'):
            raise ValueError(f'{self.out} has to end in .safetensors or .pth')
        if self.loss not in LOSSES:
            raise ValueError(f'no loss {self.loss!r}: choose one of {", ".join(LOSSES)}')
        if not 0 < self.smallest <= 1 or not 0 <= self.held_out < 1:
            raise ValueError('--smallest has to be above 0 and at most 1, --held-out from 0 to '
                             'below 1')
        if self.lr is not None and not 0 < self.lr < float('inf'):
            raise ValueError(f'--lr {self.lr} is not a number above 0')
        try:
            torch.ones(1, device=self.device).item()  # there are devices that hold nothing
        except (AssertionError, ImportError, RuntimeError) as error:
            raise ValueError(f'--device {self.device} is not here, choose cpu: '
                             f'{str(error).partition(chr(10))[0]}') from None

    @property
    def checkpoint(self) -> Path:
        """What an interrupted run goes on from."""
        return self.out.with_name(f'{self.out.name}.part')

    def fingerprint(self) -> dict[str, str]:
        """What may not change between a run and its continuation."""
        return {name: str(value) for name, value in asdict(self).items()
                if name not in ('out', 'device')}


class DistillResult(NamedTuple):
    """Losses on held-out views, before the first epoch and after each, and a config's parts."""
    losses: list[float]
    config: dict[str, dict]


class _Data(NamedTuple):
    """Encrypted views and the teacher's tokens, for training and held out."""
    scale: PixelScale
    train: tuple[np.ndarray, Tensor]
    held_out: tuple[np.ndarray, Tensor]


def distill(job: DistillJob, resume: bool = False, force: bool = False,
            show: Callable[[int, float, float | None], None] = lambda epoch, held, train: None,
            progress: Callable[[str, int, int], None] = lambda title, done, total: None
            ) -> DistillResult:
    """Adapt, and write ``job.out``.

    Args:
        job (DistillJob): What and how.
        resume (bool): Go on with an interrupted run, if there is one.
        force (bool): Replace ``job.out``, and begin anew where a run was interrupted.
        show (Callable): Gets the number of epochs done, the loss on held-out views, and the mean
            loss of the epoch (None before the first).
        progress (Callable): Called with what is done, how much of it, and the total.

    Raises:
        FileNotFoundError: A file is missing.
        FileExistsError: ``job.out`` is there, or an interrupted run.
        ValueError: The interrupted run had other options, or a file does not fit.
    """
    begun = _find_begun(job, resume, force)
    state = read_state_dict(job.teacher)
    student = _student(job, state)
    trainable_names(student, job.trainable)  # before the teacher's work
    lr = job.lr or (1e-3 if job.trainable == 'embed' else 2e-4)
    distiller = Distiller(student, job.trainable, job.epochs, lr, job.batch, job.loss, job.seed)
    data, losses = _prepare(job, state, progress), []
    if begun is None:
        losses.append(distiller.evaluate(data.held_out[0], data.scale, data.held_out[1]))
        show(0, losses[-1], None)
    else:
        distiller.load_state_dict(begun['state'])
        losses = list(begun['losses'])
    while distiller.epoch < job.epochs:
        title = f'Epoch {distiller.epoch + 1}'
        mean = distiller.run_epoch(data.train[0], data.scale, data.train[1],
                                   lambda done, total, title=title: progress(title, done, total))
        losses.append(distiller.evaluate(data.held_out[0], data.scale, data.held_out[1]))
        _save(job, distiller, losses)
        show(distiller.epoch, losses[-1], mean)
    write_state_dict(job.out, student.cpu().state_dict())
    job.checkpoint.unlink(missing_ok=True)
    return DistillResult(losses, _config(job, student, state, data.scale))


def _find_begun(job: DistillJob, resume: bool, force: bool) -> dict | None:
    """What an interrupted run left, if it is to be continued."""
    if job.out.exists() and not force:
        raise FileExistsError(f'{job.out} exists; choose another name, or --force')
    if not job.checkpoint.is_file() or (force and not resume):
        return None
    if not resume:
        raise FileExistsError(f'{job.checkpoint} is of an interrupted run: --resume goes on with '
                              'it, --force begins anew')
    try:
        begun = torch.load(job.checkpoint, map_location='cpu', weights_only=True)
        found = begun['options']
    except Exception as error:
        raise ValueError(f'{job.checkpoint} cannot be read ({type(error).__name__}): remove it, '
                         'and begin anew') from error
    wrong = [name for name, value in job.fingerprint().items() if found.get(name) != value]
    if wrong:
        raise ValueError(f'{job.checkpoint} is of a run with {wrong[0]} {found.get(wrong[0])}: '
                         'give the same, or --force to begin anew')
    return begun


def _save(job: DistillJob, distiller: Distiller, losses: list[float]) -> None:
    buffer = io.BytesIO()
    torch.save(dict(options=job.fingerprint(), state=distiller.state_dict(), losses=losses), buffer)
    write_atomic(job.checkpoint, buffer.getvalue(), sync=True)


def _student(job: DistillJob, teacher: dict[str, Tensor]):
    scheme = scheme_from_text(job.scheme, job.patch_size)
    state = teacher if job.start is None else read_state_dict(job.start)
    with_token = job.class_token and 'class' in positions_of(state)
    positions = 'class' if with_token else 'none'
    return build_backbone(state, job.patch_size, scheme.grid if scheme else 1, positions,
                          job.kernel, job.seed, job.num_heads, job.reference_encoding
                          ).to(job.device)


def _prepare(job: DistillJob, state: dict[str, Tensor],
             progress: Callable[[str, int, int], None]) -> _Data:
    size = job.cells * job.patch_size
    paths = find_images(job.images, job.ann)
    drawn = draw_views(paths, job.views, size, job.smallest, job.seed,
                       lambda done, total: progress('Views', done, total))
    teacher = build_backbone(state, job.patch_size, 1, 'kept', job.kernel,
                             num_heads=job.num_heads).to(job.device)
    dims = teacher.norm.normalized_shape[0]
    if len(drawn.images) * job.cells**2 * dims * 2 > _CACHE:
        raise ValueError(f'the tokens of {len(drawn.images)} views of {job.cells**2} patches take '
                         f'more than {_CACHE >> 30} GiB: lower --views or --cells')
    targets = teacher_tokens(teacher, drawn.images, IMAGENET,
                             lambda done, total: progress('Teacher', done, total))
    encrypted = encrypt_views(drawn.images, scheme_from_text(job.scheme, job.patch_size))
    scale = measure_scale(encrypted) if job.statistics == 'measured' else IMAGENET
    count = max(round(job.held_out * len(paths)), 1) if len(paths) > 1 else 0
    held = np.isin(drawn.groups, np.random.default_rng(job.seed).permutation(len(paths))[:count])
    if not count:
        held = np.ones(len(drawn.groups), bool)  # of one image, all there is
    train = ~held if count else held
    return _Data(scale, (encrypted[train], targets[torch.from_numpy(train)]),
                 (encrypted[held], targets[torch.from_numpy(held)]))


def _config(job: DistillJob, student, state: dict[str, Tensor], scale: PixelScale
            ) -> dict[str, dict]:
    """What a detector of the adapted weights has to say."""
    return dict(
        backbone=dict(
            type='PEViT', arch=name_of(arch_of(state, job.num_heads)), patch_size=job.patch_size,
            grid=student.patch_embed.grid, reference_encoding=job.reference_encoding,
            class_token=student.cls_token is not None,
            init_cfg=dict(type='Pretrained', checkpoint=str(job.out))),
        data_preprocessor=dict(mean=[round(x, 3) for x in scale.mean],
                               std=[round(x, 3) for x in scale.std], bgr_to_rgb=True))
