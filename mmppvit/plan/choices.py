"""Schemes to choose from, as a command line or a file names them."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmppvit.encryption import Scheme, check_grid, scheme_names
from mmppvit.encryption.schemes.from_options import scheme_from_options

__all__ = ['DEFAULT_SCHEMES', 'PLAIN', 'Candidate', 'label_of', 'parse_candidate',
           'read_plan_file', 'with_plain']

PLAIN = 'plain'
DEFAULT_SCHEMES = (PLAIN, 'downsample', 'mix+shuffle', 'mix+shuffle:grid=4', 'mix+center+shuffle')
# Further keys of a plan file; those of the command line count more.
OPTIONS = dict(max_loss=float, epochs=int, images_seen=int, seeds=int, halving=bool, jobs=int)


@dataclass(frozen=True)
class Candidate:
    """A scheme that may be taken, or plain images.

    Args:
        name (str): 'plain', or that of the scheme.
        patch_size (int): Side of a patch in pixels of the plain image.
        scheme (Scheme, optional): None for plain images.
    """
    name: str
    patch_size: int = 16
    scheme: Scheme | None = None

    @property
    def grid(self) -> int:
        return 1 if self.scheme is None else self.scheme.grid

    @property
    def strength(self) -> float:
        """Of centering, blur, pixelation or noise; 0 for the others."""
        if self.scheme is None:
            return 0.
        return self.scheme.center_strength or getattr(self.scheme, 'strength', 0.)

    @property
    def plain(self) -> bool:
        return self.scheme is None

    @property
    def parameters(self) -> str:
        """What differs from the usual, beside patch size, grid and strength: 'KEY=VALUE;...'."""
        if self.scheme is None:
            return ''
        usual = scheme_from_options(self.name, patch_size=self.patch_size, grid=self.grid,
                                    **_strengths(self.scheme)).to_dict()
        return ';'.join(f'{key}={value:g}' if value is not True else f'{key}=True'
                        for key, value in self.scheme.to_dict().items()
                        if value != usual.get(key))

    @property
    def label(self) -> str:
        """See :func:`label_of`."""
        return label_of(self.name, self.patch_size, self.grid, self.strength, self.parameters)

    @property
    def trained_as(self) -> str:
        """The name of what the detector is trained on.

        A PEViT makes the same of shuffled patches, so they are trained on in order.
        """
        name = '+'.join(part for part in self.name.split('+') if part != 'shuffle')
        return name or PLAIN

    @property
    def run(self) -> str:
        """Name of the training, for files: equal for candidates that one training answers for."""
        return self.label.replace(self.name, self.trained_as, 1).replace(' ', '_')


def label_of(name: str, patch_size: int, grid: int, strength: float, parameters: str) -> str:
    """'mix+shuffle P16 g2', and behind it what is not usual."""
    words = [name, f'P{patch_size}']
    if grid > 1:
        words.append(f'g{grid}')
    if strength != ('center' in name):  # 1 is usual for centering, and others have none
        words.append(f's{strength:g}')
    words += [part.replace('=True', '').replace('=', ' ')
              for part in parameters.split(';') if part]
    return ' '.join(words)


def _strengths(scheme: Scheme) -> dict[str, float]:
    if scheme.centers:
        return dict(center_strength=scheme.center_strength)
    return dict(strength=scheme.strength) if getattr(scheme, 'strength', 0.) else {}


def parse_candidate(text: str | dict) -> Candidate:
    """'mix+shuffle:patch_size=8,grid=4', or the mapping of a plan file.

    ``strength`` is that of centering for schemes that center.

    Raises:
        ValueError: There is no such scheme, or an option means nothing to it.
    """
    name, options = _split(text)
    if name != PLAIN and name not in scheme_names():
        raise ValueError(f'no scheme {name}: choose from {PLAIN}, {", ".join(scheme_names())}')
    wrong = f'scheme {name}'
    try:
        if name == PLAIN:
            patch_size = options.pop('patch_size', 16)
            if options:
                raise ValueError(f'plain images have no {next(iter(options))}, only patch_size')
            check_grid(patch_size, 1)
            return Candidate(name, patch_size)
        if 'center' in name and 'strength' in options:
            options['center_strength'] = options.pop('strength')
        scheme = scheme_from_options(name, **options)
    except TypeError as err:
        raise ValueError(f'{wrong}: {err.args[0].partition("() ")[2]}') from None
    except ValueError as err:
        raise ValueError(f'{wrong}: {err}') from None
    if getattr(scheme, 'erode', 0) or getattr(scheme, 'drop', 0):
        raise ValueError(f'{wrong}: erode and drop are not trained here, as they are done to '
                         'sealed images only')
    return Candidate(name, scheme.patch_size, scheme)


def _split(text: str | dict) -> tuple[str, dict]:
    if isinstance(text, dict):
        options = dict(text)
        name = options.pop('name', None)
        if not isinstance(name, str):
            raise ValueError(f'{text!r} names no scheme: write name: mix, and its options')
        return name, options
    name, _, rest = str(text).partition(':')
    options = {}
    for part in filter(None, rest.split(',')):
        key, equals, value = part.partition('=')
        if not equals:
            raise ValueError(f'{text!r}: write NAME:KEY=VALUE,KEY=VALUE, e.g. mix:grid=4')
        options[key.strip()] = _number(value.strip(), text)
    return name.strip(), options


def _number(text: str, where: object) -> int | float | bool:
    if text in ('true', 'false'):
        return text == 'true'
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(f'{where!r}: {text!r} is neither a number, true nor false')


def with_plain(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each once, and before them plain images for every patch size: what losses are relative to."""
    given = list(dict.fromkeys(candidates))
    plain = [Candidate(PLAIN, size) for size in dict.fromkeys(c.patch_size for c in given)]
    return [*plain, *(candidate for candidate in given if not candidate.plain)]


def read_plan_file(path: Path) -> tuple[list[Candidate], dict]:
    """Candidates and options of a YAML file.

    Returns:
        tuple: The candidates of its ``schemes``, each a string as on the command line or a mapping
        with ``name``; and its other keys, of :data:`OPTIONS`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file.
    """
    import yaml
    if not path.is_file():
        raise FileNotFoundError(f'no plan file {path}: it is a YAML file with schemes: [...]')
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ValueError(f'{path} is no YAML: {" ".join(str(err).split())}') from None
    if not isinstance(content, dict) or not _is_list(content.get('schemes')):
        raise ValueError(f'{path} has no list schemes: write schemes: [mix+shuffle, ...]')
    options = {key: value for key, value in content.items() if key != 'schemes'}
    for key, value in options.items():
        kind = OPTIONS.get(key)
        if kind is None:
            raise ValueError(f'{path}: no option {key}: choose from schemes, {", ".join(OPTIONS)}')
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f'{path}: {key} must be of type {kind.__name__}, got {value!r}')
        least, most = (1, math.inf) if kind is int else (0, 1)
        if not least <= value <= most:
            raise ValueError(f'{path}: {key} must lie between {least} and {most}, got {value!r}')
    return [parse_candidate(item) for item in content['schemes']], options


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0
