"""How much of pretrained weights survives encryption, before any training."""
from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mmppvit.models.checkpoints import read_state_dict
from mmppvit.models.checkpoints.embedding import KERNEL
from mmppvit.models.checkpoints.kernel_resampling import DIRECT
from mmppvit.transfer.object_views import ObjectViews, ViewOptions, cut_views
from mmppvit.transfer.positioned_vit import arch_of
from mmppvit.transfer.probes import PROBES, ProbeScore, bootstrap_over_images, cross_validate
from mmppvit.transfer.scheme_text import scheme_from_text
from mmppvit.transfer.vit_features import (
    IMAGENET,
    build_backbone,
    encrypt_views,
    mean_tokens,
    measure_scale,
    positions_of,
)
from mmppvit.utils.atomic import write_atomic
from mmppvit.utils.user_errors import need_packages

__all__ = ['ProbeJob', 'ProbeResult', 'Setting', 'run_probe', 'settings_of', 'write_rows']

RANDOM = 'random'
STATISTICS = ('imagenet', 'measured')


class Setting(NamedTuple):
    """One row: a backbone, and what it sees."""
    weights: str
    scheme: str
    patch_size: int
    positions: str
    kernel: str
    statistics: str


class ProbeResult(NamedTuple):
    """What the probes of a row found in how many views of which classes."""
    setting: Setting
    scores: dict[str, ProbeScore]
    views: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ProbeJob:
    """What to compare, and on what.

    Args:
        ann (Path): COCO json.
        img_dir (Path): Folder of its images.
        weights (Sequence[Path]): Checkpoints of ViTs or PEViTs.
        schemes (Sequence[str]): See :func:`~mmppvit.transfer.scheme_text.scheme_from_text`.
        patch_sizes (Sequence[int]): Sides of patches of the plain image in pixels.
        positions (Sequence[str]): Of :data:`~mmppvit.transfer.vit_features.POSITIONS`; those that
            a checkpoint or a scheme does not have are left out.
        kernels (Sequence[str]): How kernels of another patch size are resampled.
        statistics (Sequence[str]): 'imagenet', or 'measured' on the encrypted training views.
        floor (bool): Also random weights.
        test_ann (Path, optional): COCO json to test on; None: cross-validation, by image.
        cells (int): Side of a view in patches.
        options (ViewOptions): Which objects; its ``size`` is ``cells`` patches.
        num_heads (int, optional): See :func:`~mmppvit.transfer.positioned_vit.arch_of`.

    Raises:
        ValueError: A scheme is unknown.
    """
    ann: Path
    img_dir: Path
    weights: Sequence[Path] = ()
    schemes: Sequence[str] = ('plain', 'mix', 'mix+center')
    patch_sizes: Sequence[int] = (16, )
    positions: Sequence[str] = ('kept', 'class', 'none')
    kernels: Sequence[str] = ('pinv', )
    statistics: Sequence[str] = ('imagenet', )
    floor: bool = True
    test_ann: Path | None = None
    cells: int = 8
    options: ViewOptions = field(default_factory=ViewOptions)
    num_heads: int | None = None

    def __post_init__(self) -> None:
        for text in self.schemes:
            for size in self.patch_sizes:
                scheme_from_text(text, size)


def settings_of(job: ProbeJob, states: dict[str, dict[str, Tensor]]) -> Iterator[Setting]:
    """The rows: everything with everything, but what makes no difference or no sense."""
    for size in job.patch_sizes:
        for text in job.schemes:
            scheme = scheme_from_text(text, size)
            for statistics in job.statistics:
                for name, state in states.items():
                    resampled = state[_kernel_name(state)].shape[-1] != size
                    mixed = scheme is not None and scheme.grid > 1
                    kernels = [how for how in job.kernels if mixed or how != DIRECT] \
                        if resampled or (mixed and DIRECT in job.kernels) else []
                    known = positions_of(state)
                    for positions in [word for word in job.positions if word in known] or known:
                        if positions == 'kept' and scheme is not None and scheme.shuffles:
                            continue
                        for kernel in kernels if kernels and 'kept' in known else ('-', ):
                            yield Setting(name, text, size, positions, kernel, statistics)
                if job.floor:
                    yield Setting(RANDOM, text, size, 'none', '-', statistics)


def _kernel_name(state: dict[str, Tensor]) -> str:
    found = [name for name in state if name.endswith(KERNEL)] or [
        name for name in state if state[name].ndim == 4]
    if not found:
        raise ValueError('a checkpoint has no patch embedding: it is not of a ViT')
    return found[0]


def run_probe(job: ProbeJob, show: Callable[[ProbeResult], None] = lambda result: None,
              progress: Callable[[int, int], None] = lambda done, total: None
              ) -> list[ProbeResult]:
    """Probe every setting of ``job``.

    Args:
        job (ProbeJob): What to compare.
        show (Callable): Gets each result as it comes.
        progress (Callable): Called with the rows done and their total.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A checkpoint is not that of a ViT, or the set has too few objects.
    """
    need_packages('sklearn')
    states = {path.stem: read_state_dict(path) for path in job.weights}
    if len(states) < len(job.weights):
        raise ValueError('two files of --weights have one name: rename one')
    settings, results, views = list(settings_of(job, states)), [], {}
    if not settings:
        raise ValueError('nothing to probe: positions cannot be kept where patches are shuffled, '
                         'so give --positions none, or a scheme without shuffling')
    for done, setting in enumerate(settings):
        size = setting.patch_size
        if size not in views:
            views = {size: _views(job, size)}
        results.append(_probe(setting, job, states, *views[size]))
        show(results[-1])
        progress(done + 1, len(settings))
    return results


def _views(job: ProbeJob, patch_size: int) -> tuple[ObjectViews, ObjectViews | None]:
    options = ViewOptions(**{**vars(job.options), 'size': job.cells * patch_size})
    train = cut_views(job.ann, job.img_dir, options)
    test = job.test_ann and cut_views(job.test_ann, job.img_dir, options, train.classes)
    return train, test


def _probe(setting: Setting, job: ProbeJob, states: dict, train: ObjectViews,
           test: ObjectViews | None) -> ProbeResult:
    scheme = scheme_from_text(setting.scheme, setting.patch_size)
    seed = job.options.seed
    kernel = 'pinv' if setting.kernel == '-' else setting.kernel
    arch = next((arch_of(state, job.num_heads) for state in states.values()), 'small')
    model = build_backbone(states.get(setting.weights), setting.patch_size,
                           scheme.grid if scheme else 1, setting.positions, kernel, seed,
                           job.num_heads, arch=arch)
    encrypted = encrypt_views(train.images, scheme)
    scale = measure_scale(encrypted) if setting.statistics == 'measured' else IMAGENET
    features = mean_tokens(model, encrypted, scale)
    if test is None:
        scores = {name: bootstrap_over_images(
            train.labels, cross_validate(probe, features, train.labels, train.groups, seed),
            train.groups, seed) for name, probe in PROBES.items()}
        return ProbeResult(setting, scores, len(train.labels), train.classes)
    unseen = mean_tokens(model, encrypt_views(test.images, scheme), scale)
    scores = {name: bootstrap_over_images(
        test.labels, probe(features, train.labels, unseen), test.groups, seed)
        for name, probe in PROBES.items()}
    return ProbeResult(setting, scores, len(test.labels), train.classes)


def write_rows(path: Path, results: Sequence[ProbeResult], title: str) -> None:
    """A CSV with one row for each result; ``title`` says on what set."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    bounds = [f'{name}{end}' for name in PROBES for end in ('', '_low', '_high')]
    writer.writerow(['set', *Setting._fields, 'views', 'classes', *bounds])
    for result in results:
        values = np.concatenate([result.scores[name] for name in PROBES])
        writer.writerow([title, *result.setting, result.views, len(result.classes),
                         *(f'{value:.3f}' for value in values)])
    write_atomic(path, text.getvalue().encode())
