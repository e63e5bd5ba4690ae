"""Wrong command lines: exit code 2, nothing on stdout, and one line that names the remedy."""
from __future__ import annotations

import shlex

import pytest

# Command line and what is said about it. {sealed}, {key}, {data} and {config} stand for files that
# are there; nothing else is.
WRONG = [
    # Commands and options.
    ('sael', 'no command sael: did you mean seal?'),
    ('frobnicate', 'no command frobnicate: choose from keygen, '),
    ('keygen', "missing argument 'KEY_FILE' (mmppvit keygen --help)"),
    ('keygen a.key b.key', 'unexpected extra argument (b.key) (mmppvit keygen --help)'),
    ('seal --img-dir {data} --out out --shceme mix', '--shceme'),
    ('seal --img-dir {data} --out out --scheme mixx', "invalid value for '--scheme'"),
    ('verify {sealed} --key-fd x', "'x' is not a valid integer range"),
    ('demo --epochs 0', "'--epochs': 0 is not in the range x>=1"),
    ('compare a=b:1 c=d:1 --out x --tolerance 2', "'--tolerance': 2.0 is not in the range"),
    # Files and folders that are missing or in the way.
    ('keygen {key}', 'exists; keys are never overwritten'),
    ('keygen none/a.key', 'none/a.key cannot be written: No such file or directory'),
    ('keygen none.key --show', 'no key file none.key: make one with `mmppvit keygen`'),
    ('seal --img-dir none --out out --scheme mix', 'no folder none'),
    ('seal --img-dir {data} --ann none.json --out out --scheme mix', 'none.json'),
    ('seal --img-dir {data} --out {data}/out --scheme mix', 'choose one outside of it'),
    ('verify none', 'none'),
    ('restore {sealed} --out out', 'cannot be undone'),
    ('attack --sealed none --plain {data} --out out', 'none'),
    ('attack --sealed {sealed} --plain {data} --out out --attacks nobody',
     'no attacker nobody: choose from thumbnail'),
    ('compare --csv none.csv --out x', 'none.csv'),
    ('convert none.pth out.pth --source timm --target pevit', 'no checkpoint none.pth'),
    ('convert none.pth out.pth --source timm --target pevit --kernel area',
     "'area' is not one of 'pinv', 'bicubic', 'direct'"),
    ('probe --weights none.pth --ann {data} --img-dir {data}', 'no checkpoint none.pth'),
    ('probe --weights none.pth --ann {data} --img-dir {data} --schemes mixx',
     "no scheme 'mixx'"),
    ('distill --teacher none.pth --images {data} --out a.pth', 'no checkpoint none.pth'),
    ('distill --teacher none.pth --images {data} --out a.onnx', 'has to end in .safetensors'),
    ('rewrite-checkpoint none.pth out.pth', 'no checkpoint none.pth'),
    ('export none.safetensors out.onnx --height 32', 'give both --height and --width'),
    ('export none.safetensors out.onnx', 'none.safetensors'),
    ('crop-objects --ann none.json --img-dir {data} --out x', 'no annotation file none.json'),
    ('train-classifier --data none', 'no folder none'),
    ('demo --data none', 'annotations/instances_train2017.json: --data names a folder'),
    # Keys.
    ('seal --img-dir {data} --out out --scheme shuffle', 'needs --key-file'),
    ('seal --img-dir {data} --out out --scheme mix --pseudonyms', 'need a key'),
    ('verify {sealed} --key-file {key} --key-fd 0', '--key-file, --key-command and --key-fd say'),
    ('verify {sealed} --key-command "no-such-program x"', 'no-such-program cannot be run'),
    ('verify {sealed} --key-command false', 'false ended with status 1'),
    ('verify {sealed} --key-fd 999', '--key-fd 999 cannot be read: Bad file descriptor'),
    # Configs.
    ('train none.py', 'no config none.py'),
    ('train atss_pevit-tiny_mix_bcd', 'did you mean bccd/atss_pevit-tiny_mix_bccd?'),
    ('train {broken}', 'is not a config that can be read: SyntaxError'),
    ('train {config} --cfg-options model.backbon.grid=1',
     'there is no model.backbon; did you mean model.backbone?'),
    ('train {config} --cfg-options model.backbone.gird=1', 'did you mean model.backbone.grid?'),
    ('train {config} --cfg-options train_dataloder.batch_size=1',
     'did you mean train_dataloader?'),
    ('train {config} --cfg-options model.test_cfg.score_th=0',
     'did you mean model.test_cfg.score_thr?'),
    ('train {config} --cfg-options param_scheduler.9.T_max=1', 'param_scheduler is a list of 2'),
    ('train {config} --cfg-options model.backbone', 'write KEY=VALUE'),
    ('train {config} --cfg-options img_scale=(1,2', 'Imbalanced brackets'),
    ('train {config} --cfg-options model.backbone.type=Nothing', "type 'Nothing'"),
    ('train {config} --cfg-options custom_data_root=none', 'none'),
    ('train {config} --resume none.pth', 'no checkpoint none.pth'),
    ('train {config} --cfg-options load_from=none.pth', 'no checkpoint none.pth'),
    # Plans.
    ('plan none.py --out out', 'no config none.py'),
    ('plan {config} --out out --schemes mixx', 'no scheme mixx: choose from plain, mix'),
    ('plan {config} --out out --plan none.yaml', 'no plan file none.yaml'),
    ('plan {config} --out out --epochs 2 --images-seen 9', 'give one of them'),
    ('plan {config} --out out --max-loss 2', "'--max-loss': 2.0 is not in the range"),
    ('plan {config} --out out --reports none', 'no folder of reports none'),
    ('compare-plans none.csv --out out', 'no table none.csv: `mmppvit plan` writes plan.csv'),
    ('test {config}', "missing argument 'CHECKPOINT'"),
    ('test {config} none.pth', 'no checkpoint none.pth'),
    ('test {config} none.pth --out found.txt', '--out found.txt: must end in .json or .pkl'),
    ('test {config} {rubbish} --cfg-options custom_data_root={root}', 'rubbish.pth'),
    ('browse {config} --split nothing', "invalid value for '--split'"),
    ('split {config} none.pth --backbone-out a --head-out b', 'no checkpoint none.pth'),
    ('run-split backbone none.safetensors {data} --out x', 'none.safetensors'),
    ('run-split head none.safetensors {config} tokens', 'none.safetensors'),
]


@pytest.fixture(scope='module')
def files(sealed_shapes, tmp_path_factory):
    """What the command lines name, by name."""
    from tests.conftest import ROOT
    folder = tmp_path_factory.mktemp('files')
    (folder / 'broken.py').write_text('model = dict(\n')
    (folder / 'rubbish.pth').write_text('rubbish')
    return dict(
        root=sealed_shapes.plain, sealed=sealed_shapes.folder('mix'),
        key=sealed_shapes.key_file, broken=folder / 'broken.py',
        data=sealed_shapes.plain / 'train2017', rubbish=folder / 'rubbish.pth',
        config=ROOT / 'configs/demo/atss_pevit_mix_shapes.py')


@pytest.mark.parametrize(('line', 'message'), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_command_line(mmppvit, files, tmp_path, line, message):
    code, out, err = mmppvit(*shlex.split(line.format_map(files)))
    assert code == 2, err
    assert 'Traceback' not in err
    said = err[err.rindex('error: '):]
    assert message in said
    assert said.count('\n') == 1
    if not line.startswith(('train', 'test ', 'run-split')):  # these log what they read
        assert err == said
        assert not out
    assert not (tmp_path / 'out').exists()
