"""Writing an adapted config as a short child of the stock one."""
from __future__ import annotations

import os
import tempfile
import textwrap
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmppvit.adapt.adaptation import Adapted
from mmppvit.adapt.python_text import Call, Items, Node, Text, as_node, is_name, render
from mmppvit.utils.atomic import write_atomic

__all__ = ['child_text', 'inline_text', 'write_child_config']

_FIRST = ('custom_imports', 'encrypt')
# In a child they are changed after the pipelines that they name.
_LAST = ('model', 'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'custom_hooks', 'visualizer')


def write_child_config(adapted: Adapted, path: str | Path, base: str, header: str = '',
                       inline: bool = False) -> None:
    """Write ``path``, whole or not at all, and only if it reads back as what was adapted.

    Args:
        adapted (Adapted): From :func:`mmppvit.adapt.adapt_stock`.
        path (str | Path): Of the new config.
        base (str): The stock one: ``mmdet::...`` or a path.
        header (str): Comment at the top.
        inline (bool): Write out everything in place of ``_base_`` and overrides.

    Raises:
        RuntimeError: The written config does not read as what it was made from; a bug.
    """
    path = Path(path)
    text = inline_text(adapted, header) if inline else child_text(adapted, base, path, header)
    _check(text, adapted.config, path)
    write_atomic(path, text.encode())


def inline_text(adapted: Adapted, header: str = '') -> str:
    """The whole config, without ``_base_``."""
    notes = ''.join(f'#   {".".join(map(str, path))}: {why}\n'
                    for path, why in adapted.reasons.items())
    return f'{_comment(header)}# Changed from the stock config:\n{notes}\n' \
           f'{adapted.config.pretty_text}'


def child_text(adapted: Adapted, base: str, path: Path, header: str = '') -> str:
    """``_base_`` and the overrides, each with its reason."""
    if '::' not in base:
        base = os.path.relpath(base, path.resolve().parent)
    old, new = adapted.stock.to_dict(), adapted.config.to_dict()
    writer = _Overrides(adapted.reasons, new)
    changed = [key for key in new if key not in old or repr(old[key]) != repr(new[key])]
    order = [*(key for key in _FIRST if key in changed),
             *(key for key in changed if isinstance(new[key], list) and key not in _FIRST + _LAST),
             *(key for key in changed if not isinstance(new[key], list)
               and key not in _FIRST + _LAST),
             *(key for key in _LAST if key in changed)]
    text = f'{_comment(header)}_base_ = {base!r}\n'
    block = True
    for key in order:
        node = writer.node((key, ), old.get(key), new[key], key in old)
        why = writer.reason((key, ))
        lines = f'{_comment(why)}{key} = {render(node, len(key) + 3)}\n'
        # Short ones stand together, long and commented ones apart.
        block, before = lines.count('\n') > 1, block
        text += '\n' * (block or before) + lines
        if isinstance(new[key], list):
            writer.names[repr(new[key])] = key
    return text


class _Overrides:
    """Expressions that turn a value of the base into one of the adapted config."""

    def __init__(self, reasons: dict[tuple, str], new: dict) -> None:
        self.reasons = dict(reasons)
        self.names: dict[str, str] = {}
        self.said: set[str] = set()
        self.encrypt = new.get('encrypt')

    def reason(self, path: tuple) -> str:
        """Why ``path`` was set; the same reason is given once."""
        why = self.reasons.get(path, '')
        if why in self.said:
            return ''
        self.said.add(why)
        return why

    def node(self, path: tuple, old: Any, new: Any, exists: bool = True) -> Node:
        """Expression of ``new``, as short as ``old`` in the base lets it be."""
        if repr(new) in self.names:
            return Text(self.names[repr(new)])
        if isinstance(new, dict) and exists:
            return self._dict(path, old, new)
        if isinstance(new, list) and isinstance(old, list) and _has_steps(old):
            return self._list(path, old, new)
        return as_node(new, self.names)

    def _dict(self, path: tuple, old: Any, new: dict) -> Node:
        if not isinstance(old, dict) or not set(old) <= set(new) or (
                path in self.reasons and old.get('type') != new.get('type')):
            node = as_node(new, self.names)
            return Call([('_delete_', Text('True'), ''), *node.items])
        items = []
        for key, value in new.items():
            if key in old and repr(old[key]) == repr(value):
                continue
            why = self.reason((*path, key))
            items.append((key, self.node((*path, key), old.get(key), value, key in old), why))
        return Call(items)

    def _list(self, path: tuple, old: list, new: list) -> Node:
        source = _base_expression(path)
        left, right = [repr(item) for item in old], [repr(item) for item in new]
        items: list[Node] = []
        for kind, i, j, a, b in SequenceMatcher(None, left, right, False).get_opcodes():
            if kind == 'equal':
                items += _slice(source, i, j, len(old))
            elif kind == 'replace' and j - i <= b - a:
                items += [self._item((*path, n), old[n], new[a + n - i]) for n in range(i, j)]
                items += self._inserted(new[a + j - i:b])
            elif kind != 'delete':
                items += self._inserted(new[a:b])
        return Items('[]', items)

    def _inserted(self, values: list) -> list[Node]:
        if self.encrypt and values == self.encrypt:
            return [Text('*encrypt')]
        steps = len(self.encrypt or ())
        for start in range(len(values) - steps + 1 if steps else 0):
            if values[start:start + steps] == self.encrypt:
                return [*self._inserted(values[:start]), Text('*encrypt'),
                        *self._inserted(values[start + steps:])]
        return [as_node(value, self.names) for value in values]

    def _item(self, path: tuple, old: Any, new: Any) -> Node:
        """An item of a list that was changed: lists are not merged, so it names the old one."""
        if not isinstance(old, dict) or not isinstance(new, dict) or not set(old) <= set(new):
            if isinstance(old, list) and isinstance(new, list) and _has_steps(old):
                return self._list(path, old, new)
            return as_node(new, self.names)
        changed = {key: value for key, value in new.items() if repr(old.get(key)) != repr(value)}
        items = [(key, self._value((*path, key), old.get(key), value), '')
                 for key, value in changed.items()]
        return Call(items, first=_base_expression(path))

    def _value(self, path: tuple, old: Any, new: Any) -> Node:
        """Within an item of a list, where dicts are not merged either."""
        if repr(new) in self.names:
            return Text(self.names[repr(new)])
        return self._item(path, old, new)


def _has_steps(items: list) -> bool:
    """Whether a list is one of dicts, which is long; one of numbers is simply written out."""
    return any(isinstance(item, dict) or (isinstance(item, list) and _has_steps(item))
               for item in items)


def _base_expression(path: tuple) -> str:
    text = '_base_'
    for key in path:
        text += f'.{key}' if is_name(key) else f'[{key!r}]'
    return text


def _slice(source: str, start: int, stop: int, length: int) -> list[Node]:
    if stop - start == 1:
        return [Text(f'{source}[{start if stop < length else -1}]')]
    first = '' if start == 0 else str(start)
    last = '' if stop == length else str(stop)
    return [Text(f'*{source}[{first}:{last}]' if first or last else f'*{source}')]


def _comment(text: str) -> str:
    return ''.join(f'# {line}\n' if line else '#\n' for paragraph in text.splitlines()
                   for line in textwrap.wrap(paragraph, 98) or [''])


def _check(text: str, expected: Config, path: Path) -> None:
    """Read ``text`` back from where it will be, as ``_base_`` is relative to that."""
    folder = path.resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile('w', suffix='.py', prefix='.adapted_', dir=folder) as file:
        file.write(text)
        file.flush()
        found = Config.fromfile(file.name, import_custom_modules=False).to_dict()
    # MMEngine marks what comes from another package's config.
    found, wanted = _without_scope(found), _without_scope(expected.to_dict())
    wrong = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
    if wrong:
        raise RuntimeError(f'the written config differs from the adapted one in {wrong}: please '
                           'report this, and use --inline meanwhile')


def _without_scope(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_scope(value) for key, value in node.items() if key != '_scope_'}
    if isinstance(node, (list, tuple)):
        return type(node)(_without_scope(item) for item in node)
    return node
