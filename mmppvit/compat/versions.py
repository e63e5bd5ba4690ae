"""The versions that this package was tested with, and one error where others are installed."""
import re
from importlib import metadata

__all__ = ['OLDEST', 'check_versions', 'parse', 'too_old']

# As in the extra `mmdet` of pyproject.toml.
# torch < 2.6 can be made to run code by a checkpoint even with weights_only (CVE-2025-32434).
OLDEST = dict(torch='2.6', torchvision='0.21', mmengine='0.10.4', mmdet='3.3', timm='1.0.16')


def parse(version: str | None) -> tuple[int, ...]:
    """'2.13.0+cpu' -> (2, 13, 0); an absent version -> ()."""
    match = re.match(r'\d+(\.\d+)*', version or '')
    return tuple(int(part) for part in match[0].split('.')) if match else ()


def too_old(versions: dict[str, str | None]) -> dict[str, str]:
    """Those of ``versions`` that are older than tested, with the oldest that is not."""
    return {name: oldest for name, oldest in OLDEST.items()
            if () < parse(versions.get(name)) < parse(oldest)}


def check_versions() -> None:
    """Refuse versions that are older than tested.

    Raises:
        ImportError: Names them and the remedy. Packages that are missing raise when imported.
    """
    versions = {}
    for name in OLDEST:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    wrong = too_old(versions)
    if wrong:
        found = ', '.join(f'{name} {versions[name]}' for name in wrong)
        wanted = ' '.join(f'"{name}>={oldest}"' for name, oldest in wrong.items())
        raise ImportError(f'mmppvit was not made for {found}: pip install {wanted}')
