"""Help, versions, exit codes, and what is imported for them."""
from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest

import mmppvit as package
from mmppvit.cli import app
from mmppvit.cli.errors import user_message
from mmppvit.cli.options import Many, _repeat
from mmppvit.utils.user_errors import RunError

ROOT = Path(package.__file__).parents[1]
HEAVY = ('torch', 'torchvision', 'timm', 'mmcv', 'mmengine', 'mmdet', 'matplotlib')
OF_OWNERS = ('keygen', 'seal', 'verify', 'restore')


def _python(code: str, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))


def test_help_imports_nothing_heavy():
    """Of every command, in one process; NumPy, OpenCV and cryptography are for seal alone."""
    done = _python(f'''
import contextlib, io, sys
from mmppvit.cli.app import COMMANDS, main
def help(*args):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*args, '--help']) == 0
    assert 'Usage: mmppvit' in out.getvalue()
help()
help('doctor')
help('keygen')
assert not {{'numpy', 'cv2', 'cryptography', 'rich'}} & set(sys.modules)
for name in COMMANDS:
    help(name)
print({{name.partition('.')[0] for name in sys.modules}} & set({HEAVY!r}))
''')
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'set()\n'


def test_owners_need_nothing_heavy(sealed_shapes, tmp_path):
    """A key, sealing, verifying and restoring, with torch and all that refused."""
    done = _python(f'''
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {HEAVY!r}:
            raise ModuleNotFoundError('blocked: ' + name, name=name)
sys.meta_path.insert(0, Refuse())
from mmppvit.cli.app import main
plain, work = sys.argv[1:]
assert main(['keygen', work + '/owner.key']) == 0
assert main(['seal', '--img-dir', plain, '--out', work + '/sealed', '--scheme', 'shuffle',
             '--key-file', work + '/owner.key']) == 0
assert main(['verify', work + '/sealed', '--key-file', work + '/owner.key']) == 0
assert main(['restore', work + '/sealed', '--out', work + '/plain', '--key-file',
             work + '/owner.key']) == 0
assert main(['train', 'demo/atss_pevit_mix_shapes']) == 2
''', str(sealed_shapes.plain / 'train2017'), str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert 'is not installed: pip install "mmppvit[mmdet]"' in done.stderr.splitlines()[-1]


def test_python_dash_m():
    done = subprocess.run([sys.executable, '-m', 'mmppvit', '--version'], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.stdout == f'mmppvit, version {package.__version__}\n'
    assert done.returncode == 0


def test_every_command_has_a_module_help_and_examples(mmppvit):
    for name in app.COMMANDS:
        code, out, err = mmppvit(name, '--help')
        assert (code, err) == (0, '')
        assert out.startswith('Examples:\n  mmppvit '), name
        assert f'  mmppvit {name}' in out[:out.index('Usage:')], name
        assert out.index('Examples:') < out.index('Usage:') < out.index('Options:')
    modules = {path.stem for path in Path(app.__file__).parent.glob('cmd_*.py')}
    assert modules == {f'cmd_{name.replace("-", "_")}' for name in app.COMMANDS}


def test_examples_parse():
    """What the help shows as complete command lines is one."""
    for name in app.COMMANDS:
        command = import_module(f'mmppvit.cli.cmd_{name.replace("-", "_")}').command
        lines = command.examples.replace('\\\n', ' ').splitlines()
        for line in lines:
            words = line.partition('#')[0].split()
            if '...' in words or len(words) < 3 or isinstance(command, click.Group) \
                    or words[1] != name:
                continue
            command.make_context(f'mmppvit {name}', words[2:])


def test_nothing_shows_the_whole(mmppvit):
    code, out, _ = mmppvit()
    assert code == 0
    for name, text in app.COMMANDS.items():
        assert name in out
        assert text.split()[0] in out


@pytest.mark.parametrize(('args', 'expected'), [
    ('--a 1 2 --b 3', '--a 1 --a 2 --b 3'),
    ('--a=1 2', '--a=1 --a 2'),
    ('x --a 1 2 3', 'x --a 1 --a 2 --a 3'),
    ('--a 1 --a 2 3', '--a 1 --a 2 --a 3'),
    ('--b 1 2', '--b 1 2'),
    ('--a 1 -- 2 3', '--a 1 -- 2 3'),
    ('--a', '--a'),
])
def test_options_of_several_values(args, expected):
    assert _repeat(args.split(), {'--a'}) == expected.split()


def test_choices_that_stand_for_others():
    """Lists that help shows without importing what defines them."""
    from mmppvit.cli import cmd_convert, cmd_train_classifier
    from mmppvit.models.checkpoints import SOURCES
    assert cmd_convert.SOURCES == SOURCES
    assert any(isinstance(param, Many) for param in cmd_train_classifier.command.params)


# --- exit codes -----------------------------------------------------------------------------------


def _ours(kind, *args):
    """An error that code of this project raises on purpose."""
    names = {'kind': kind, 'args': args, '__name__': 'mmppvit.somewhere'}
    exec('def fail():\n    raise kind(*args)', names)
    return names['fail']


def _fails_in_ours(statement: str):
    """An operation that fails within code of this project."""
    names = {'np': np, '__name__': 'mmppvit.somewhere'}
    exec(f'def fail():\n    {statement}', names)
    return names['fail']


def _raised(function) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        function()
    return caught.value


@pytest.mark.parametrize(('fail', 'message'), [
    (_ours(ValueError, 'choose 2'), 'choose 2'),
    (_ours(FileNotFoundError, 'no config x'), 'no config x'),
    (_ours(RunError, 'too little memory'), 'too little memory'),
    (_ours(FloatingPointError, 'the loss is nan'), 'the loss is nan'),
    (_ours(ImportError, 'was not made for'), 'was not made for'),
    (lambda: Path('/none/x').read_text(), '/none/x: No such file or directory'),
    (_ours(OSError, errno.ENOSPC, 'No space left on device'), 'No space left on device'),
    (_fails_in_ours('import onnxruntime_that_is_not_there'), None),
    (_ours(RuntimeError, 'whatever'), None),
    (_ours(KeyError, 'x'), None),
    (_ours(TypeError, 'x'), None),
    (_ours(AssertionError, 'x'), None),
    (_fails_in_ours('np.zeros(3) + np.zeros(4)'), None),
    (_fails_in_ours('a, b = 1, 2, 3'), None),
    (_fails_in_ours("int('x')"), None),
    (_fails_in_ours('1 / 0'), None),
    (lambda: int('x'), None),
    (lambda: (Path(package.__file__).parent / 'gone.json').read_text(), None),
], ids=lambda value: None)
def test_whose_fault_it_is(fail, message):
    said = user_message(_raised(fail))
    assert said is None if message is None else message in said


@pytest.mark.parametrize('name', ['torch', 'mmdet', 'jinja2', 'onnx'])
def test_a_missing_extra(name):
    from mmppvit.utils.user_errors import EXTRAS, need_packages
    message = user_message(ModuleNotFoundError(f'No module named {name!r}', name=name))
    assert f'pip install "mmppvit[{EXTRAS[name]}]"' in message
    need_packages(name)


def test_an_error_in_a_worker_of_a_data_loader(mmppvit):
    """torch hands it over as text; a bug there stays one."""
    from torch.utils.data import DataLoader

    from tests.cli.failing_data import Bug, Refuses
    loader = DataLoader(Refuses(), num_workers=1)
    assert user_message(_raised(lambda: next(iter(loader)))) is not None
    loader = DataLoader(Bug(), num_workers=1)
    assert user_message(_raised(lambda: next(iter(loader)))) is None


def test_a_fault_of_ours_keeps_its_traceback(mmppvit, monkeypatch):
    from mmppvit.compat import installation
    monkeypatch.setattr(installation, 'examine', lambda: {}['versions'])
    code, out, err = mmppvit('doctor')
    assert code == 70
    assert not out
    assert "KeyError: 'versions'" in err
    assert 'Traceback (most recent call last)' in err
    assert f'This is a fault of mmppvit {package.__version__}. Please report it' in err


def test_interrupted(mmppvit, monkeypatch):
    from mmppvit.compat import installation

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(installation, 'examine', interrupt)
    assert mmppvit('doctor') == (130, '', '\ninterrupted\n')


def test_a_reader_that_goes_away(tmp_path):
    done = subprocess.run(f'{sys.executable} -m mmppvit --help | true', shell=True, cwd=ROOT,
                          capture_output=True, text=True)
    assert 'Traceback' not in done.stderr
    assert not done.stderr


# --- what the commands of owners do ---------------------------------------------------------------


def test_json(mmppvit, sealed_shapes, tmp_path):
    plain, key = sealed_shapes.plain / 'train2017', sealed_shapes.key_file
    seal = ['seal', '--img-dir', plain, '--out', tmp_path / 'sealed', '--scheme', 'mix+shuffle',
            '--key-file', key, '--json']
    code, out, _ = mmppvit(*seal, '--dry-run')
    plan = json.loads(out)
    assert code == 0
    assert (plan['images'], plan['files'], plan['problems']) == (6, 6, [])
    assert not (tmp_path / 'sealed').exists()

    code, out, _ = mmppvit(*seal)
    report = json.loads(out)
    assert code == 0
    assert report['written'] == 6
    assert report['complete'] is True
    assert report['scheme']['name'] == 'mix+shuffle'

    code, out, _ = mmppvit('verify', tmp_path / 'sealed', '--json', '--key-file', key)
    report = json.loads(out)
    assert code == 0
    assert report['problems'] == []
    assert report['signature_checked'] is True
    next((tmp_path / 'sealed').glob('images*/*')).unlink()
    code, out, _ = mmppvit('verify', tmp_path / 'sealed', '--json')
    assert code == 1
    assert len(json.loads(out)['problems']) == 1

    code, out, _ = mmppvit('doctor', '--json')
    report = json.loads(out)
    assert code == int(any(finding['level'] == 'broken' for finding in report['findings']))


def test_a_dry_run_finds_what_would_be_skipped(mmppvit, sealed_shapes, tmp_path):
    (tmp_path / 'plain').mkdir()
    for path in (sealed_shapes.plain / 'train2017').iterdir():
        (tmp_path / 'plain' / path.name).write_bytes(path.read_bytes())
    (tmp_path / 'plain/empty.png').touch()
    code, out, _ = mmppvit('seal', '--img-dir', 'plain', '--out', 'sealed', '--scheme', 'mix',
                           '--dry-run')
    assert code == 1
    assert '6 images would give 6 files, 1 would be skipped; nothing was written' in out
    assert 'empty.png: it is empty' in out
    assert not (tmp_path / 'sealed').exists()


def test_a_key_by_every_way(mmppvit, sealed_shapes, tmp_path, monkeypatch):
    """The same sealed bytes whichever way the key comes."""
    key, plain = sealed_shapes.key_file, sealed_shapes.plain / 'train2017'
    fd = os.open(key, os.O_RDONLY)
    results = set()
    for place, more in enumerate((('--key-file', key), ('--key-command', f'cat {key}'),
                                  ('--key-fd', fd), ())):
        if not more:
            monkeypatch.setenv('MMPPVIT_KEY', str(key))
        out = tmp_path / str(place)
        code, _, err = mmppvit('seal', '--img-dir', plain, '--out', out, '--scheme', 'shuffle',
                               *more)
        assert code == 0, err
        results.add(b''.join(path.read_bytes() for path in sorted(out.rglob('*.png'))))
    os.close(fd)
    assert len(results) == 1


def test_a_wrapped_key_from_keygen_to_restore(mmppvit, sealed_shapes, tmp_path, monkeypatch):
    plain = sealed_shapes.plain / 'train2017'
    monkeypatch.setenv('MMPPVIT_PASSPHRASE', 'open sesame')
    code, out, _ = mmppvit('keygen', 'owner.key', '--passphrase')
    assert code == 0
    fingerprint = out.split()[-1]
    monkeypatch.delenv('MMPPVIT_PASSPHRASE')
    assert mmppvit('keygen', 'owner.key', '--show')[1].split()[-1] == fingerprint
    ask = ['--key-file', 'owner.key', '--passphrase-command', 'echo open sesame']
    seal = ['seal', '--img-dir', plain, '--out', 'sealed', '--scheme', 'shuffle']
    assert mmppvit(*seal, *ask)[0] == 0
    assert mmppvit('verify', 'sealed', *ask)[0] == 0
    assert mmppvit('restore', 'sealed', '--out', 'restored', *ask)[0] == 0
    code, _, err = mmppvit('verify', 'sealed', '--key-file', 'owner.key', '--passphrase-command',
                           'echo wrong')
    assert code == 2
    assert err == 'error: owner.key: the passphrase is wrong, or the file was edited\n'


@pytest.mark.parametrize(('words', 'expected'), [
    ('mmppvit se', {'seal'}),
    ('mmppvit seal --sch', {'--scheme'}),
    ('mmppvit verify --key-', {'--key-file', '--key-command', '--key-fd'}),
])
def test_shell_completion(words, expected):
    done = subprocess.run(
        [sys.executable, '-m', 'mmppvit'], cwd=ROOT, capture_output=True, text=True,
        env=dict(os.environ, _MMPPVIT_COMPLETE='bash_complete', COMP_WORDS=words,
                 COMP_CWORD=str(len(words.split()) - 1)))
    assert {line.partition(',')[2] for line in done.stdout.splitlines()} == expected


@pytest.mark.parametrize(('args', 'usage'), [
    (['attack', '--view', 'host', '--help'], 'attack-host [OPTIONS] RECORDING CONFIG'),
    (['attack', '--view=gradients', '-h'], 'attack-gradients '),
    (['attack', '--view', 'files', '--help'], 'attack [OPTIONS]'),
    (['attack', '--help'], 'attack [OPTIONS]')])
def test_what_an_attacker_sees(args, usage, capsys):
    assert app.main(args) == 0
    assert f'Usage: mmppvit {usage}' in capsys.readouterr().out


@pytest.mark.parametrize('args', [['--view', 'sky'], ['--view=sky'], ['--view']])
def test_views_that_are_none(args, capsys):
    assert app.main(['attack', *args]) == 2
    assert 'choose from files, host, gradients' in capsys.readouterr().err
