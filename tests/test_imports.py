"""What must import without what, and what a config finds by name."""
from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mmppvit

ROOT = Path(mmppvit.__file__).parents[1]
BLOCKED = ('torch', 'torchvision', 'timm', 'mmcv', 'mmengine', 'mmdet')


def _python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)


def _modules_of(package: str) -> list[str]:
    path = import_module(package).__path__
    return [package, *(info.name for info in pkgutil.walk_packages(path, f'{package}.'))]


def test_encryption_needs_neither_torch_nor_mmdet():
    """With both present and failing: nothing may even try, and nothing may be half imported.

    Each module is the first to be imported in a process of its own.
    """
    done = _python(f'''
import importlib.util, os, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {BLOCKED!r}:
            raise ImportError('blocked: ' + name)
find_spec = importlib.util.find_spec
def absent(name, package=None):
    return None if name.partition('.')[0] in {BLOCKED!r} else find_spec(name, package)
importlib.util.find_spec = absent
sys.meta_path.insert(0, Refuse())
for name in {BLOCKED!r}:
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(name + ' was not blocked')
import numpy
for module in {_modules_of('mmppvit.encryption')!r}:
    child = os.fork()
    if child == 0:
        try:
            __import__(module)
            import mmppvit.encryption as e
            assert e.mix_sub_patches(numpy.zeros((16, 16), 'uint8')).shape == (8, 8)
        except BaseException as error:
            print(module, repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, module
''')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('module', _modules_of('mmppvit.encryption'))
def test_encryption_imports_nothing_but_itself(module):
    """Arrows point one way, also for imports within functions."""
    tree = ast.parse(Path(import_module(module).__file__).read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
             for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [name for name in names if name.startswith('mmppvit')]
    allowed = ('mmppvit.encryption', 'mmppvit.utils')
    assert all(name.startswith(allowed) for name in own), own
    assert not {name.partition('.')[0] for name in names} & set(BLOCKED)


REGISTERED = [
    ('TRANSFORMS', 'MixSubPatches'),
    ('TRANSFORMS', 'RandomRotate90'),
    ('TRANSFORMS', 'PatchAlignedRandomCrop'),
    ('TRANSFORMS', 'PatchAlignedRandomShift'),
    ('TRANSFORMS', 'PatchAlignedMosaic'),
    ('TRANSFORMS', 'RandomAffineColor'),
    ('TRANSFORMS', 'GaussianBlurImage'),
    ('TRANSFORMS', 'PixelateImage'),
    ('TRANSFORMS', 'AddNoiseImage'),
    ('TRANSFORMS', 'DownsampleImage'),
    ('DATASETS', 'CheckedCocoDataset'),
    ('MODELS', 'PEViT'),
    ('MODELS', 'PEYOLOS'),
    ('MODELS', 'YOLOSHead'),
    ('MODELS', 'YOLOSViT'),
    ('OPTIM_WRAPPERS', 'BFloat16OptimWrapper'),
    ('MODELS', 'TokenInput'),
    ('MODELS', 'KeyedOrder'),
    ('MODELS', 'SimpleFeaturePyramid'),
    ('MODELS', 'LayerNorm2d'),
    ('DATASETS', 'EncryptedImageFolder'),
    ('DATASETS', 'CifarBinary'),
    ('MODELS', 'ProtectedClassifier'),
    ('MODELS', 'TimmClassifier'),
    ('METRICS', 'TopAccuracy'),
    ('HOOKS', 'ExportClassifierHook'),
    ('HOOKS', 'CheckedLoadHook'),
    ('HOOKS', 'SealedDataHook'),
    ('HOOKS', 'StrideGuardHook'),
    ('VISUALIZERS', 'SealedDetLocalVisualizer'),
    ('OPTIM_WRAPPER_CONSTRUCTORS', 'ViTLayerDecayOptimWrapperConstructor'),
]


@pytest.mark.parametrize(('registry', 'name'), REGISTERED)
def test_registered_modules_are_found_by_name(registry, name):
    found = getattr(import_module('mmdet.registry'), registry).get(name)
    assert found is not None
    assert found.__name__ == name


def test_custom_imports_alone_registers_everything():
    """As a config does it, in a process that has imported nothing else of ours."""
    done = _python(f'''
from mmengine.utils import import_modules_from_strings
import_modules_from_strings(['mmppvit'])
import mmdet.registry
missing = [name for registry, name in {REGISTERED!r}
           if getattr(mmdet.registry, registry).get(name) is None]
assert not missing, missing
''')
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('module', _modules_of('mmppvit'))
def test_all_names_exist(module):
    """Every module imports, and has what its ``__all__`` promises."""
    found = import_module(module)
    names = getattr(found, '__all__', [])
    assert not [name for name in names if not hasattr(found, name)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize('module', _modules_of('mmppvit.sealed'))
def test_sealed_data_sets_need_neither_torch_nor_mmdet(module):
    """The owner's machine seals with OpenCV, Pillow and the encryption core."""
    tree = ast.parse(Path(import_module(module).__file__).read_text())
    names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import)
              for alias in node.names]
    own = [name for name in names if name.startswith('mmppvit')]
    allowed = ('mmppvit.utils', 'mmppvit.annotations', 'mmppvit.encryption', 'mmppvit.sealed')
    assert all(name.startswith(allowed) for name in own), own
    assert not {name.partition('.')[0] for name in names} & set(BLOCKED)


def test_importing_registers_the_classifiers_with_timm():
    import_module('mmppvit.register')
    assert len(import_module('timm').list_models('pevit_*')) == 6


def test_every_name_is_known_before_it_is_imported():
    """And what MMDetection's registries import at first takes neither timm nor torchvision."""
    done = _python('''
import sys
import mmppvit, mmdet.registry, mmengine.registry
from mmengine.registry import Registry
import mmppvit.register_names
heavy = [name for name in ('timm', 'torchvision', 'grpc') if name in sys.modules]
found = {}
for module in (mmengine.registry, mmdet.registry):
    for registry in vars(module).values():
        if isinstance(registry, Registry):
            later = set(getattr(registry._module_dict, 'later', ()))
            found[id(registry)] = registry, later | set(dict.keys(registry._module_dict))
import mmppvit.register
unknown = [(registry.name, name) for registry, before in found.values()
           for name, module in dict.items(registry._module_dict)
           if module.__module__.startswith('mmppvit') and name not in before]
for registry, before in found.values():  # nothing is named that is not registered
    assert before <= set(registry.module_dict), (registry.name, before - set(registry.module_dict))
assert not heavy and not unknown, (heavy, unknown)
''')
    assert done.returncode == 0, done.stderr
