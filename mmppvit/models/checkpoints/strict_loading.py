"""Weights that fit a model whole, or an error that says in a few lines what does not."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ['differences', 'load_whole']


def differences(state: Mapping[str, Tensor], model: nn.Module) -> list[str]:
    """One line a kind of difference between names and shapes, with up to three examples.

    Args:
        state (Mapping[str, Tensor]): Weights.
        model (Module): What they are for.
    """
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()
           if isinstance(value, Tensor)}
    given = {name: tuple(value.shape) for name, value in state.items()
             if isinstance(value, Tensor)}
    reshaped = [f'{name} {given[name]}, the model has {own[name]}'
                for name in own.keys() & given.keys() if own[name] != given[name]]
    kinds = {
        'in the model only': own.keys() - given.keys(),
        'in the checkpoint only': given.keys() - own.keys(),
        'of another shape': reshaped,
    }
    return [f'{len(names)} tensors {kind}: ' + '; '.join(sorted(names)[:3]) +
            ('; ...' if len(names) > 3 else '') for kind, names in kinds.items() if names]


def load_whole(model: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """``load_state_dict``, strict.

    Args:
        model (Module): Gets the weights.
        state (Mapping[str, Tensor]): All of them and no other.
        name (str): Of the checkpoint, for the error.

    Raises:
        ValueError: Names or shapes differ; nothing was loaded.
    """
    problems = differences(state, model)
    if problems:
        raise ValueError(f'{name} does not fit this {type(model).__name__}:\n  ' +
                         '\n  '.join(problems) + '\nGive the config that it was trained with.')
    model.load_state_dict(state)
