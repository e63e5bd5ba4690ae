"""Checkpoints for classifiers of timm, PEViT among them."""
from __future__ import annotations

import os

from mmengine.logging import print_log
from torch import Tensor, nn

from mmppvit.models.checkpoints.embedding import KERNEL, Embedding
from mmppvit.models.checkpoints.foreign_names import guess_foreign, released_pevit_names
from mmppvit.models.checkpoints.tensor_files import read_state_dict
from mmppvit.models.classifiers.pevit_classifier import PEViTClassifier

__all__ = ['load_classifier']

# Of a plain or a distilled ViT.
_POSITIONAL = ('pos_embed', 'dist_token', 'head_dist.')


def load_classifier(model: nn.Module, checkpoint: str, strict: bool = True) -> None:
    """Load a checkpoint of the training tool or of timm into a model of timm.

    Args:
        model (nn.Module): Of timm, not its wrapper.
        checkpoint (str): ``.pth`` or ``.safetensors``.
        strict (bool): Everything has to fit. Otherwise a head of other classes is left at its
            initialization, and a PEViT takes weights of a plain ViT.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It does not fit.
    """
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'no checkpoint {checkpoint}: name a .pth or .safetensors that is '
                                'there')
    state = _bare(read_state_dict(checkpoint))
    own = model.state_dict()
    if not strict:
        state = {name: value for name, value in state.items()
                 if not _other_head(name, value, own)}
        if isinstance(model, PEViTClassifier):
            state = _without_positions(state, model)
    problems = [name for name in own.keys() | state.keys()
                if (name not in own or name not in state or own[name].shape != state[name].shape)
                and (strict or not _may_start_anew(name))]
    if problems:
        raise ValueError(
            f'{checkpoint} does not fit this {type(model).__name__}: {len(problems)} tensors '
            f'differ, e.g. {sorted(problems)[:3]}. Give the --model, --model-kwargs and '
            'classes that it was trained with')
    model.load_state_dict(state, strict=False)


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the ``model.`` of :class:`TimmClassifier`, and a released PEViT under names here."""
    if all(name.startswith('model.') for name in state):
        state = {name.removeprefix('model.'): value for name, value in state.items()}
    if guess_foreign(state) == 'pevit':
        state = {released_pevit_names(name): value for name, value in state.items()}
        name = 'reference_encoding.reference'
        state[name] = state[name].flatten()
    return state


def _other_head(name: str, value: Tensor, own: dict[str, Tensor]) -> bool:
    return name.startswith(('head.', 'fc.', 'classifier.')) and (
        name not in own or own[name].shape != value.shape)


def _without_positions(state: dict[str, Tensor], model: PEViTClassifier) -> dict[str, Tensor]:
    """Weights of a plain ViT for a PEViT; those of a PEViT as they are."""
    embed, kernel = model.patch_embed, state.get(KERNEL)
    embedding = Embedding(embed.patch_size, embed.grid)
    plain = 'pos_embed' in state
    if kernel is not None and embedding.must_adapt(kernel, plain):
        adapted, how = embedding.adapt(kernel)
        state = state | {KERNEL: adapted}
        print_log(f'{KERNEL}: {how}', logger='current')
    dropped = [name for name in state if name.startswith(_POSITIONAL)]
    if dropped:
        print_log(f'without positions there is no place for {", ".join(dropped)}',
                  logger='current')
    return {name: value for name, value in state.items() if name not in dropped}


def _may_start_anew(name: str) -> bool:
    return name.startswith(('head.', 'fc.', 'classifier.', 'reference_encoding.',
                            'patch_embed.mixer.'))
