"""Schemes in one word of a command line: ``mix+center,grid=4,normalize=true``."""
from __future__ import annotations

import json

from mmppvit.encryption import Scheme
from mmppvit.encryption.schemes.from_options import scheme_from_options

__all__ = ['scheme_from_text']


def scheme_from_text(text: str, patch_size: int | None = None) -> Scheme | None:
    """The scheme that ``NAME[,PARAMETER=VALUE...]`` names, None for 'plain'.

    What is left out has the recommended value: see
    :func:`mmppvit.encryption.schemes.from_options.scheme_from_options`.

    Args:
        text (str): It may name the patch size, too.
        patch_size (int, optional): The one that it has to have; None: any, 16 where it names none.

    Raises:
        ValueError: The scheme or a parameter is unknown, it drops patches, or it has patches of
            another size.
    """
    name, *words = text.split(',')
    options = {}
    for word in words:
        key, equals, value = word.partition('=')
        if not equals:
            raise ValueError(f'{text!r} is not NAME[,PARAMETER=VALUE...], e.g. mix+center,grid=4')
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    if name == 'plain':
        if options:
            raise ValueError(f'{text!r}: plain has no parameters')
        return None
    try:
        scheme = scheme_from_options(name, **{'patch_size': patch_size, **options})
    except TypeError:
        raise ValueError(f'{text!r}: scheme {name} has no parameter of such a name') from None
    if patch_size not in (None, scheme.patch_size):
        raise ValueError(f'{text!r} has patches of {scheme.patch_size} pixels, and not '
                         f'{patch_size}: give them as --patch-size')
    if scheme.drop:
        raise ValueError(f'{text!r} drops patches, which have no features: leave drop out')
    return scheme
