"""The hook into imports: when it acts, in every order of imports, and whatever imports them."""
from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from types import ModuleType

import mmdet.registry
import pytest
from mmengine.registry import Registry

import mmppvit
import mmppvit.compat
from mmppvit.compat import on_import


def hooks() -> list:
    return [finder for finder in sys.meta_path if type(finder).__name__ == '_Hook']


def test_there_is_one_hook_also_after_reloading():
    importlib.reload(on_import)
    importlib.reload(mmppvit)
    on_import.hook_into_imports()
    assert len(hooks()) == 1


def test_every_registry_of_mmdet_knows_us_once():
    registries = [r for r in vars(mmdet.registry).values()
                  if isinstance(r, Registry) and r.scope == 'mmdet']
    assert len(registries) > 15
    assert all(r._locations.count('mmppvit.register_names') == 1 for r in registries)


def test_a_scope_of_the_users_own_finds_our_modules():
    mine = Registry('model', parent=mmdet.registry.MODELS, scope='mine')
    neck = mine.build(dict(type='SimpleFeaturePyramid', in_channels=8, out_channels=8))
    assert type(neck).__name__ == 'SimpleFeaturePyramid'


@pytest.mark.parametrize('used', [False, True])
def test_registries_that_were_imported_before(run_python, used):
    """As in a script that imports MMDetection first, and may have built from it already."""
    done = run_python('-c', textwrap.dedent(f"""
        import sys
        import mmdet.registry
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != '_Hook']
        for name in [n for n in sys.modules if n.partition('.')[0] == 'mmppvit']:
            del sys.modules[name]
        mmdet.registry.MODELS._locations.remove('mmppvit.register_names')
        mmdet.registry.MODELS._module_dict.pop('PEViT', None)
        mmdet.registry.MODELS._imported = {used}
        sys.modules['mmppvit.register_names'] = None  # importing it raises
        import mmppvit
        try:
            mmdet.registry.MODELS.get('PEViT')
        except ImportError as error:
            print(error.name)
    """))
    assert done.stdout.strip() == 'mmppvit.register_names', done.stderr


@pytest.fixture
def fresh(monkeypatch):
    """A hook that has not acted yet, and how often it applied the fixes."""
    calls = []
    monkeypatch.setattr(mmppvit.compat, 'apply', lambda: calls.append(threading.get_ident()))
    return on_import._Hook(), calls


def test_fixes_are_applied_once_and_for_these_packages_only(fresh):
    hook, calls = fresh
    assert hook.find_spec('numpy') is None
    assert calls == []
    for name in ('timm', 'mmcv', 'timm.models'):
        assert hook.find_spec(name) is None
    assert len(calls) == 1


def test_other_threads_wait_until_the_fixes_are_in_force(monkeypatch):
    events, hook = [], on_import._Hook()
    entered = threading.Event()

    def slow():
        hook.find_spec('mmcv')  # the fixes look for these packages themselves
        entered.set()
        time.sleep(.05)
        events.append('fixed')

    monkeypatch.setattr(mmppvit.compat, 'apply', slow)
    first = threading.Thread(target=hook.find_spec, args=('timm', ))
    first.start()
    assert entered.wait(10)
    hook.find_spec('torchvision')
    events.append('went on')
    first.join()
    assert events == ['fixed', 'went on']


def test_a_failure_is_not_taken_for_success(monkeypatch):
    hook = on_import._Hook()

    def fail():
        raise ImportError('this stack cannot work')

    monkeypatch.setattr(mmppvit.compat, 'apply', fail)
    for name in ('timm', 'mmdet'):
        with pytest.raises(ImportError, match='this stack'):
            hook.find_spec(name)


def test_a_zipped_package_keeps_its_loader(tmp_path, monkeypatch):
    """All modules of a zip file share one loader; only the one concerned is acted upon."""
    path = tmp_path / 'packages.zip'
    with zipfile.ZipFile(path, 'w') as file:
        for name in ('__init__', 'registry', 'other'):
            file.writestr(f'zipped/{name}.py', f'NAME = {name!r}')
    seen: list[ModuleType] = []
    monkeypatch.setitem(on_import.AFTER, 'zipped.registry', seen.append)
    monkeypatch.syspath_prepend(str(path))
    hook = hooks()[0]
    monkeypatch.setattr(hook, 'find_spec', type(hook).find_spec.__get__(hook))
    modules = [importlib.import_module(f'zipped.{name}') for name in ('registry', 'other')]
    assert seen == modules[:1]
    assert 'NAME' in inspect.getsource(modules[0])
    importlib.reload(modules[0])
    assert seen == modules[:1] * 2


LIGHT = ('torch', 'torchvision', 'timm', 'mmcv', 'mmengine', 'mmdet', 'numpy', 'cv2', 'PIL')


def test_the_root_imports_the_standard_library_alone():
    code = f'import mmppvit, sys; print([n for n in {LIGHT!r} if n in sys.modules])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == '[]', done.stderr
