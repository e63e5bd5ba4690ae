"""The installation, looked over: versions, where operators come from, remedies for what is broken.

Needs nothing but the standard library, and runs even where PyTorch, mmcv or MMDetection are missing
or broken.
"""
import importlib
import platform
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from mmppvit.compat.versions import parse, too_old

__all__ = ['Finding', 'describe', 'examine']

OPENCVS = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python',
           'opencv-contrib-python-headless')
PACKAGES = ('torch', 'torchvision', 'numpy', 'mmengine', 'mmcv', 'mmcv-lite', 'mmdet', 'timm',
            'pycocotools', 'cryptography', 'pillow', 'setuptools', *OPENCVS)
# What every installation needs, and what training needs besides.
OWNERS = ('numpy', 'cryptography', 'pillow')
TRAINERS = ('torch', 'torchvision', 'mmengine', 'mmdet', 'timm', 'pycocotools')
# What is shown as the place of an operator, and its names in mmcv._ext and in torchvision.
COMPILED, TORCHVISION, PLAIN = 'compiled mmcv', 'torchvision', 'plain PyTorch'
OPERATORS = dict(
    nms=('nms', 'nms'),
    roi_align=('roi_align_forward', 'roi_align'),
    focal_loss=('sigmoid_focal_loss_forward', None),
    ms_deform_attn=('ms_deform_attn_forward', None))

Versions = dict[str, str | None]


class Finding(NamedTuple):
    """What one check found. ``level`` is 'ok', 'note' (works all the same) or 'broken'."""
    level: str
    what: str
    remedy: str = ''


OK = Finding('ok', '')


def check_required(versions: Versions) -> Finding:
    missing = [name for name in OWNERS if not versions.get(name)]
    if missing:
        return Finding('broken', f'not installed: {", ".join(missing)}',
                       f'pip install {" ".join(missing)}')
    missing = [name for name in TRAINERS if not versions.get(name)]
    if not missing:
        return OK
    if len(missing) == len(TRAINERS):
        return Finding('note', 'sealing works; nothing that trains is installed',
                       'pip install "mmppvit[mmdet,lite]"')
    return Finding('broken', f'training needs {", ".join(missing)}, not installed',
                   'pip install "mmppvit[mmdet]"')


def check_opencv(versions: Versions) -> Finding:
    """Several packages share the folder ``cv2``; files of different versions do not fit."""
    found = {name: versions[name] for name in OPENCVS if versions.get(name)}
    if not found:
        return Finding('broken', 'no OpenCV is installed', 'pip install opencv-python-headless')
    if len(set(found.values())) == 1:
        return OK
    versions_found = ', '.join(f'{name} {version}' for name, version in found.items())
    newest = max(found.values(), key=parse)
    return Finding('broken', f"{versions_found} overwrite each other's files",
                   f'pip uninstall {" ".join(found)}; '
                   f'pip install {" ".join(f"{name}=={newest}" for name in found)}')


def check_mmcv(versions: Versions) -> Finding:
    full, lite = versions.get('mmcv'), versions.get('mmcv-lite')
    if full and lite:
        return Finding('broken', f"mmcv {full} and mmcv-lite {lite} overwrite each other's files",
                       'pip uninstall mmcv mmcv-lite; pip install mmcv-lite==2.1.0')
    if not full and not lite and not versions.get('mmdet'):
        return OK
    if not full and not lite:
        return Finding('broken', 'neither mmcv nor mmcv-lite is installed',
                       'pip install mmcv-lite==2.1.0')
    name, version = ('mmcv', full) if full else ('mmcv-lite', lite)
    if not (2, 0, 0) <= parse(version) < (2, 2):
        return Finding('broken', f'mmdet 3.3 refuses {name} {version}: it takes >= 2.0.0, < 2.2.0',
                       f'pip install {name}==2.1.0')
    return OK


def check_setuptools(versions: Versions) -> Finding:
    version = versions.get('setuptools')
    if not versions.get('mmengine') or (version and parse(version) < (82, )):
        return OK
    return Finding('note', f'setuptools is {version or "not installed"}: our commands work without '
                   'its pkg_resources',
                   "for `mmdet::` bases in MMDetection's own tools: pip install \"setuptools<82\"")


def check_numpy(versions: Versions) -> Finding:
    if parse(versions.get('numpy')) >= (2, ) and () < parse(versions.get('torch')) < (2, 3):
        return Finding('broken', f'torch {versions["torch"]} was built for numpy 1, not for '
                       f'{versions["numpy"]}', 'pip install "torch>=2.6", or "numpy<2"')
    return OK


def check_oldest(versions: Versions) -> Finding:
    wrong = too_old(versions)
    if not wrong:
        return OK
    return Finding('broken', ', '.join(f'{name} {versions[name]} is older than {oldest}'
                                       for name, oldest in wrong.items()),
                   'pip install ' + ' '.join(f'"{n}>={oldest}"' for n, oldest in wrong.items()))


def check_torchvision(versions: Versions, loads: bool) -> Finding:
    """``loads``: whether torchvision's binary loads into this torch."""
    if loads or not versions.get('torchvision') or not versions.get('torch'):
        return OK
    return Finding(
        'note', f'the binary of torchvision {versions["torchvision"]} does not load into torch '
        f'{versions["torch"]}; its Python part works, operators run in plain PyTorch',
        'for speed: install both from the same index, e.g. --index-url '
        'https://download.pytorch.org/whl/cpu')


def check_operators(versions: Versions, error: str | None, compiled: bool) -> Finding:
    """``error``: why a compiled ``mmcv._ext`` does not load; ``compiled``: whether there is one."""
    if error:
        return Finding('broken', f"mmcv's compiled operators do not load: {error}",
                       'rebuild mmcv for this torch: pip install --force-reinstall --no-deps '
                       '--no-build-isolation "mmcv==2.1.0", or use mmcv-lite==2.1.0')
    if compiled or not (versions.get('mmcv') or versions.get('mmcv-lite')):
        return OK
    return Finding('note', 'no compiled operators: those in the table above stand in, others raise',
                   'for deformable convolutions and the like: pip uninstall mmcv-lite; '
                   'pip install "mmcv==2.1.0" --no-build-isolation  (about 20 minutes)')


def check_import(name: str, error: str | None) -> Finding:
    """``error``: what importing the package raised."""
    if not error:
        return OK
    if 'libGL' in error or 'libgthread' in error:
        return Finding('broken', f'{name} cannot be imported: {error}',
                       'pip uninstall opencv-python; pip install opencv-python-headless')
    return Finding('broken', f'{name} cannot be imported: {error}', f'reinstall {name}')


def installed_versions() -> Versions:
    versions = dict(python=platform.python_version())
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def import_error(name: str) -> str | None:
    """What importing a module raises, in one line; None if it works or is not installed."""
    try:
        if find_spec(name.partition('.')[0]) is not None:
            importlib.import_module(name)
    except Exception as error:  # whatever a broken package raises
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    return None


def operator_places() -> tuple[dict[str, str], bool, bool, str | None]:
    """Where each operator comes from, whether torchvision's binary and a compiled mmcv are there,
    and why the latter does not load."""
    try:
        import torch

        from mmppvit.compat.mmcv_ext import OPERATORS as OURS
        from mmppvit.compat.mmcv_ext import compiled_ext_exists
        from mmppvit.compat.torchvision_schemas import binary_loads, has_kernel
        compiled, loads = compiled_ext_exists(), binary_loads()
    except Exception as error:  # torch is missing or broken, which its own check reports
        return {name: f'unknown: {type(error).__name__}' for name in OPERATORS}, False, False, None
    error = import_error('mmcv._ext') if compiled else None
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    places = {}
    for name, (function, theirs) in OPERATORS.items():
        if compiled:
            places[name] = 'does not load' if error else COMPILED
        elif theirs and has_kernel(theirs, device):
            places[name] = TORCHVISION
        else:
            places[name] = PLAIN if function in OURS else 'missing'
    return places, loads, compiled, error


def gpu_facts() -> list[dict[str, str]]:
    try:
        import torch
        if not torch.cuda.is_available():
            return []
        backends = torch.backends.cuda
        attention = [name for name, enabled in (
            ('flash', backends.flash_sdp_enabled),
            ('memory-efficient', backends.mem_efficient_sdp_enabled),
            ('cudnn', getattr(backends, 'cudnn_sdp_enabled', bool))) if enabled()]
        return [dict(name=p.name, memory=f'{p.total_memory / 2**30:.0f} GiB',
                     bf16=str(torch.cuda.is_bf16_supported()), attention=', '.join(attention))
                for p in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))]
    except Exception:  # a broken torch is reported by its own check
        return []


def examine() -> dict:
    """Everything that is printed."""
    versions = installed_versions()
    errors = dict(torch=import_error('torch'))
    own_error = import_error('mmppvit')
    for name in ('cv2', 'mmengine', 'mmcv', 'torchvision', 'timm', 'mmdet.models'):
        errors[name] = import_error(name)
    places, loads, compiled, ext_error = operator_places()
    findings = [check(versions) for check in (
        check_required, check_opencv, check_oldest, check_numpy, check_mmcv, check_setuptools)]
    findings += [check_torchvision(versions, loads), check_operators(versions, ext_error, compiled)]
    findings += [check_import(name, error) for name, error in errors.items()]
    # The package's own import fails with what it imports; once is enough.
    if own_error not in errors.values():
        findings.append(check_import('mmppvit', own_error))
    findings = [finding._asdict() for finding in findings if finding.level != 'ok']
    return dict(versions=versions, operators=places, gpus=gpu_facts(), findings=findings)


def _rows(report: dict) -> list[tuple[str, str]]:
    """The table's lines."""
    lines = [(name, version or '-') for name, version in report['versions'].items()]
    lines += [(f'operator {name}', place) for name, place in report['operators'].items()]
    for gpu in report['gpus']:
        lines.append(('GPU', f'{gpu["name"]}, {gpu["memory"]}, bf16: {gpu["bf16"]}, '
                      f'fused attention: {gpu["attention"] or "none"}'))
    return lines if report['gpus'] else [*lines, ('GPU', 'none')]


def describe(report: dict) -> str:
    """What :func:`examine` found, for people."""
    rows = _rows(report)
    width = max(len(name) for name, _ in rows)
    lines = [f'{name:<{width}}  {found}' for name, found in rows]
    for finding in report['findings']:
        lines.append(f'\n{finding["level"]}: {finding["what"]}\n  {finding["remedy"]}')
    return '\n'.join(lines if report['findings'] else [*lines, '\nnothing to repair'])
