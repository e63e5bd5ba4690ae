"""mmengine's search for installed packages, without ``pkg_resources``.

mmengine 0.10.7 asks setuptools' ``pkg_resources`` where the package of a base such as
``mmdet::retinanet/...`` lies (changed after that release, open-mmlab/mmengine #1676). setuptools 82
dropped that module, and Python 3.12 installs no setuptools at all. ``importlib.metadata`` knows the
same, and does not take half a second to import.
"""
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ['get_installed_path', 'is_installed', 'package2module', 'replace_functions']


def is_installed(package: str) -> bool:
    """Whether a distribution or an importable module has this name; no namespace packages."""
    try:
        metadata.distribution(package)
    except (metadata.PackageNotFoundError, ValueError):
        try:
            spec = find_spec(package)
        except ModuleNotFoundError:  # the parent of a dotted name
            return False
        return spec is not None and spec.origin is not None
    return True


def get_installed_path(package: str) -> str:
    """The folder of a distribution's top module, or of a module that is on the path.

    Args:
        package (str): 'mmdet', or 'mmcv-lite', whose module has another name.

    Raises:
        PackageNotFoundError: There is neither; a subclass of ModuleNotFoundError.
        RuntimeError: It is a namespace package.
    """
    try:
        module = package2module(package)
    except (metadata.PackageNotFoundError, ValueError):
        module = package
    # Where it is imported from is right for editable installations, too.
    spec = find_spec(module)
    if spec is None:
        raise metadata.PackageNotFoundError(package)
    if spec.origin is None:
        raise RuntimeError(f'{package} is a namespace package, which has no single folder')
    return str(Path(spec.origin).parent)


def package2module(package: str) -> str:
    """The first top-level module of a distribution.

    Raises:
        PackageNotFoundError: It is not installed.
        ValueError: It does not say which modules it has.
    """
    distribution = metadata.distribution(package)
    names = (distribution.read_text('top_level.txt') or '').split()
    if package in names:
        return package
    if not names and find_spec(package.replace('-', '_')) is not None:
        return package.replace('-', '_')
    if not names:
        raise ValueError(f'the package {package} does not say which modules it has')
    return names[0]


def replace_functions(package_utils: ModuleType) -> None:
    """Put these functions in place of those of ``mmengine.utils.package_utils``.

    Modules that have imported them already get the new ones, too. Later versions of mmengine, which
    need no ``pkg_resources``, keep theirs.
    """
    if 'pkg_resources' not in package_utils.is_installed.__code__.co_names:
        return
    for function in (is_installed, get_installed_path, package2module):
        name = function.__name__
        theirs = getattr(package_utils, name)
        setattr(package_utils, name, function)
        for module in list(sys.modules.values()):
            if getattr(module, '__name__', '').startswith('mmengine') \
                    and vars(module).get(name) is theirs:
                setattr(module, name, function)
