"""Which of a checkpoint's sets of weights to take, and names without their wrappers."""
from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from mmengine.logging import print_log
from torch import Tensor

__all__ = ['choose_weights', 'find_weight_sets', 'unwrap_names']

# What else training loops save, and is no model.
_NO_WEIGHTS = re.compile(
    'optim|sched|scaler|^lr|^meta$|^message_hub$|^args$|config|loss|rng|random', re.IGNORECASE)
_AVERAGED = re.compile('ema|averaged|teacher', re.IGNORECASE)
_DEEPEST = 4


def find_weight_sets(content: Mapping, path: str = '', depth: int = 0
                     ) -> dict[str, dict[str, Tensor]]:
    """Sets of tensors in a checkpoint by the keys that lead to them, e.g. 'state_dict_ema'.

    The set of the checkpoint itself is called ''. Optimizers and the like are left out.
    """
    tensors = {name: value for name, value in content.items()
               if isinstance(name, str) and isinstance(value, Tensor)}
    found = {path: tensors} if tensors else {}
    if depth < _DEEPEST:
        for key, value in content.items():
            if isinstance(value, Mapping) and isinstance(key, str) and not _NO_WEIGHTS.search(key):
                found |= find_weight_sets(value, f'{path}.{key}' if path else key, depth + 1)
    return found


def choose_weights(content: Mapping, name: str, weights: str | None = None) -> dict[str, Tensor]:
    """One set of weights of a checkpoint; of several the averaged one (EMA), and it is said.

    Args:
        content (Mapping): The checkpoint.
        name (str): Of its file, for messages.
        weights (str, optional): The set to take, e.g. 'state_dict_ema'.

    Raises:
        ValueError: There is no such set, or none at all.
    """
    sets = find_weight_sets(content)
    if weights is not None:
        if weights not in sets:
            raise ValueError(f'{name} has no weights {weights!r}: it has '
                             f'{", ".join(sets) or "none"}')
        return sets[weights]
    if not sets:
        raise ValueError(f'{name} holds no tensors; its entries are '
                         f'{", ".join(map(str, list(content)[:8])) or "none"}')
    chosen = _preferred(sets)
    # A buffer or two beside the weights are no choice.
    others = [key for key in sets if key != chosen and len(sets[key]) > 2]
    if others:
        print_log(f'{name} has the weights {", ".join(sets)}: took {chosen or "those at the top"}'
                  f'{" (averaged)" if _is_averaged(chosen, sets) else ""}; --weights chooses',
                  logger='current', level=logging.WARNING)
    return sets[chosen]


def _is_averaged(key: str, sets: Mapping) -> bool:
    # MMEngine's EMAHook saves the averaged weights as state_dict, the others as ema_state_dict.
    if {'state_dict', 'ema_state_dict'} <= set(sets):
        return key == 'state_dict'
    return bool(_AVERAGED.search(key))


def _preferred(sets: Mapping[str, Mapping]) -> str:
    most = max(map(len, sets.values()))
    whole = [key for key, tensors in sets.items() if 2 * len(tensors) >= most]
    return next((key for key in whole if _is_averaged(key, sets)), whole[0])


def unwrap_names(names: Mapping[str, Tensor]) -> dict[str, str]:
    """Names without what DistributedDataParallel (``module.``) and torch.compile put before them.

    Returns:
        dict[str, str]: The short name by the name.
    """
    short = {name: name.replace('_orig_mod.', '') for name in names}
    # MMEngine's averaged weights have a count of steps beside them.
    while any('.' in name for name in short.values()) and all(
            name.startswith('module.') for name in short.values() if '.' in name):
        short = {name: value.removeprefix('module.') for name, value in short.items()}
    return short if len(set(short.values())) == len(short) else {name: name for name in names}
