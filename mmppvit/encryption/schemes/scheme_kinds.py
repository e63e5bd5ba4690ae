"""All schemes by name: the one place that knows which there are."""
from __future__ import annotations

from dataclasses import fields

from mmppvit.encryption.schemes.base import Scheme
from mmppvit.encryption.schemes.baseline_schemes import STRENGTHS, BaselineScheme
from mmppvit.encryption.schemes.learned import LearnedScheme

__all__ = ['KINDS', 'make_scheme', 'read_scheme', 'scheme_names']

KINDS: tuple[type[Scheme], ...] = (Scheme, BaselineScheme, LearnedScheme)


def scheme_names() -> list[str]:
    """Of every kind, those of the kinds themselves in their order."""
    return [name for kind in KINDS for name in kind.names]


def _kind_of(name: object) -> type[Scheme]:
    """The class of a scheme; for unknown names :class:`Scheme`, which refuses them."""
    return next((kind for kind in KINDS if name in kind.names), Scheme)


def make_scheme(name: str, **options) -> Scheme:
    """The scheme of that name, a baseline or not; a learned one comes from its protector's file.

    Raises:
        ValueError: There is none, or an option is out of range or has no meaning for it.
    """
    kind = _kind_of(name)
    if kind.needs_protector:
        raise ValueError(f'no scheme {name!r} by its name alone: it comes from the file of a '
                         'protector')
    if 'strength' not in {field.name for field in fields(kind)} and options.pop('strength', 0):
        strong = list(STRENGTHS)
        raise ValueError(f'scheme {name} has no strength; those that have one are {strong}')
    return kind(name, **options)


def read_scheme(data: dict) -> Scheme:
    """The scheme in ``data``, which has every parameter and nothing else.

    A learned one has no network yet and cannot encrypt.

    Raises:
        ValueError: It does not.
    """
    return _kind_of(data.get('name') if isinstance(data, dict) else None).from_dict(data)
