"""apply() repairs what is missing, once, and touches nothing else."""
import subprocess
import sys
import textwrap
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

import pytest

from mmppvit.compat import apply
from mmppvit.compat.mmcv_ext import OPERATORS, compiled_ext_exists


def run(code, **kwargs):
    """Run code in a fresh interpreter and return what it prints."""
    result = subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True,
                            text=True, **kwargs)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_apply_is_idempotent():
    extension = sys.modules.get('mmcv._ext')
    assert apply() == apply()
    assert sys.modules.get('mmcv._ext') is extension


def test_apply_mends_a_failed_import_of_torchvision():
    pytest.importorskip('timm')
    assert run("""
        try:
            import torchvision  # fails beside a torch that its binary does not match
        except RuntimeError:
            pass
        from mmppvit.compat import apply
        apply()
        import mmdet.models
        import timm
        import torchvision
        from torchvision import transforms
        torchvision.extension._has_ops(), torchvision.ops.boxes, timm.data
        print('imported')
    """) == 'imported'


@pytest.mark.skipif(compiled_ext_exists(), reason='the compiled operators are installed')
def test_unknown_operators_say_what_to_install():
    import torch
    from mmcv.ops import bbox_overlaps
    with pytest.raises(RuntimeError, match=r"'bbox_overlaps' needs the compiled mmcv.*mim install"):
        bbox_overlaps(torch.zeros(1, 4), torch.zeros(1, 4))


@pytest.mark.skipif(compiled_ext_exists(), reason='the compiled operators are installed')
def test_the_stand_in_passes_for_a_module():
    extension = sys.modules['mmcv._ext']
    assert find_spec('mmcv._ext').loader is None
    assert not hasattr(extension, '__path__')
    assert all(callable(getattr(extension, name)) for name in OPERATORS)


@pytest.mark.skipif(compiled_ext_exists(), reason='the compiled operators are installed')
def test_the_environment_can_be_described():
    from mmcv.utils import collect_env
    assert collect_env()['MMCV Compiler'].startswith('n/a')


def test_nothing_is_touched_beside_a_compiled_mmcv(tmp_path):
    package = tmp_path / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('raise RuntimeError("mmcv was imported")')
    (package / f'_ext{EXTENSION_SUFFIXES[0]}').touch()
    assert run(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import importlib.util, types
        # The package itself applies everything; its compat folder alone is asked here.
        spec = importlib.util.find_spec('mmppvit')
        parent = types.ModuleType('mmppvit')
        parent.__path__ = list(spec.submodule_search_locations)
        sys.modules['mmppvit'] = parent
        from mmppvit.compat.mmcv_ext import compiled_ext_exists, install_stand_in
        print(compiled_ext_exists(), install_stand_in(), 'mmcv._ext' in sys.modules)
    """) == 'True False False'


def test_schemas_are_not_declared_beside_a_loading_binary(monkeypatch):
    from mmppvit.compat import torchvision_schemas
    monkeypatch.setattr(torchvision_schemas, '_handles', [])
    monkeypatch.setattr(torchvision_schemas, 'binary_loads', lambda: True)
    assert torchvision_schemas.declare_schemas() is False
    assert torchvision_schemas._handles == []
