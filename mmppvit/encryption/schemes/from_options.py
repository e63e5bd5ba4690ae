"""Schemes from the options of a command, most of which are left out."""
from __future__ import annotations

from mmppvit.encryption.schemes.base import Scheme
from mmppvit.encryption.schemes.learned import LEARNED
from mmppvit.encryption.schemes.scheme_kinds import make_scheme

__all__ = ['refuse_options_of_others', 'scheme_from_options']


def scheme_from_options(name: str, *, patch_size: int | None = None, grid: int | None = None,
                        center_strength: float | None = None, gain: float | None = None,
                        protector: object = None, **options) -> Scheme:
    """The scheme ``name`` with recommended values for what is None.

    Args:
        name (str): Of a scheme or baseline; a learned one needs its protector, see
            :func:`mmppvit.models.protectors.protector_scheme.learned_scheme`.
        patch_size (int, optional): Pixels; 16.
        grid (int, optional): Sub-patches per side; 2 for schemes that mix or downsample, else 1.
        center_strength (float, optional): 1 for schemes that center, else 0.
        gain (float, optional): 1.
        protector (object, optional): Refused.
        options: Of :func:`mmppvit.encryption.make_scheme`.

    Raises:
        ValueError: An option is out of range or has no meaning for the scheme.
    """
    if protector is not None:
        raise ValueError(f'scheme {name} has no protector: leave --protector out, or choose '
                         f'--scheme {LEARNED}')
    if grid is None:
        grid = 2 if 'mix' in name or 'downsample' in name else 1
    if center_strength is None:
        center_strength = 1. if 'center' in name else 0.
    return make_scheme(name, patch_size=16 if patch_size is None else patch_size, grid=grid,
                       center_strength=center_strength, gain=1. if gain is None else gain,
                       **options)


def refuse_options_of_others(protector: object = None, **options) -> None:
    """Of scheme 'learned': nothing but a protector and a patch size means anything.

    Raises:
        ValueError: There is no protector, or another option is given.
    """
    if protector is None:
        raise ValueError('scheme learned needs --protector: the protector.safetensors, or a '
                         'checkpoint, of a training in configs/protectors/')
    given = [name for name, value in options.items() if value]
    if given:
        raise ValueError(f'scheme learned has no --{given[0].replace("_", "-")}: leave it out')
