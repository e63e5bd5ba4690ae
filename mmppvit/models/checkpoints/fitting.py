"""Tensors of a source in the places of a target, and the account of it."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.layouts import Source
from mmppvit.models.checkpoints.load_report import LoadReport

__all__ = ['Fitting', 'reject_problems']


class Fitting:
    """Fills the places of a target.

    Args:
        source (Source): The tensors; what it has dropped is in the account from the start.
        target (Mapping[str, Size]): The shapes of the target's tensors.
        prefix (str): What stands before the names of the backbone in the target.
    """

    def __init__(self, source: Source, target: Mapping[str, torch.Size], prefix: str = '') -> None:
        self.source, self.target, self.prefix = source, target, prefix
        self.state: dict[str, Tensor] = {}
        self.report = LoadReport(dropped=dict(source.dropped))

    def drop(self, name: str, why: str) -> None:
        """The source's ``name`` has no place."""
        self.report.dropped[self.source.names[name]] = why

    def place(self, name: str, value: Tensor | None = None, how: str = '',
              target: str | None = None) -> None:
        """Put the source's ``name`` in its place, or ``value``, which is ``how`` it was adapted.

        A tensor without a place, or of another shape, is unexpected.
        """
        value = self.source.tensors[name] if value is None else value
        origin, target = self.source.names[name], target or self.prefix + name
        if target not in self.target:
            self.report.unexpected[origin] = f'{tuple(value.shape)}'
        elif value.shape != self.target[target]:
            self.report.unexpected[origin] = (
                f'{tuple(value.shape)}, the model has {tuple(self.target[target])}')
        else:
            self.state[target] = value
            if how:
                self.report.adapted[origin] = how
            else:
                self.report.copied.append(origin)
            if target != origin:
                self.report.renamed[origin] = target

    def place_kernel(self, embedding: Embedding, plain: bool) -> None:
        """The patch embedding's kernel, made one for mixed images if it is ``plain``."""
        kernel, target = self.source.tensors[KERNEL], self.target[self.prefix + KERNEL]
        if kernel.shape[:2] == target[:2] and embedding.must_adapt(kernel, plain):
            self.place(KERNEL, *embedding.adapt(kernel))
        else:
            self.place(KERNEL)

    def finish(self, new_parts: Mapping[str, str]) -> tuple[dict[str, Tensor], LoadReport]:
        """Account for the places that are empty.

        Args:
            new_parts (Mapping[str, str]): How names of those begin that the source cannot have,
                and why it cannot.
        """
        for name in sorted(self.target.keys() - self.state.keys()):
            why = next((why for part, why in new_parts.items() if name.startswith(part)), None)
            if why is None:
                self.report.missing.append(name)
            else:
                self.report.initialized[name] = why
        return self.state, self.report


def reject_problems(report: LoadReport, what: str, remedy: str) -> None:
    """Raise ValueError, which counts and names them, if tensors are missing or unexpected."""
    if not report.complete:
        raise ValueError(f'{what}: {len(report.missing)} tensors missing, '
                         f'{len(report.unexpected)} unexpected, e.g. {report.problems[:2]}. '
                         f'{remedy}')
