"""``tools/demo.py`` from the key to the sheet, in the smallest setting."""
from __future__ import annotations

import re
import stat

from PIL import Image


def test_demo_runs_from_any_folder(run_python, tools, tmp_path):
    done = run_python(
        tools / 'demo.py', '--epochs', '1', '--num-train', '8', '--num-val', '8', '--num-rows', '2',
        '--attacks', 'jigsaw-mgc', '--attack-seconds', '5', '--work-dir', 'out', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    out = tmp_path / 'out'
    assert re.search(r'epoch +1/1 .*loss \d', done.stdout)
    assert re.search(r'mAP on the sealed validation images: \d\.\d{3}', done.stdout)
    assert re.search(r'Best attack: jigsaw-mgc, SSIM \d\.\d\d to the plain', done.stdout)
    assert 'sealed 8 images into out/sealed/train2017 (mix+center+shuffle)' in done.stdout
    assert stat.S_IMODE((out / 'owner.key').stat().st_mode) == 0o600
    assert (out / 'owner.key').read_text().split('\n')[1] not in done.stdout
    assert len(done.stdout.splitlines()) < 30
    for kind in ('Look at', 'Key', 'Sealed files', 'Attack', 'Log', 'Checkpoint'):
        path = re.search(rf'^{kind} +(\S+)$', done.stdout, re.MULTILINE)[1]
        assert (tmp_path / path).exists()
    assert done.stdout.endswith((out / 'summary.txt').read_text())
    with Image.open(out / 'sheet.png') as img:
        assert img.width == 4 * 384 + 5 * 6
        assert img.height > 2 * 384


def test_a_foreign_folder_is_not_drawn_over(tool, tmp_path):
    (tmp_path / 'out/synthetic_shapes').mkdir(parents=True)
    (tmp_path / 'out/synthetic_shapes/a.txt').write_text('a')
    code, _, err = tool('demo.py', '--work-dir', tmp_path / 'out')
    assert code == 2
    assert 'synthetic_shapes holds something else' in err
    assert [path.name for path in (tmp_path / 'out/synthetic_shapes').iterdir()] == ['a.txt']
