"""A sample of the support table, really run."""
from __future__ import annotations

import time
from pathlib import Path

import pytest

from mmppvit.adapt import support_runs
from mmppvit.adapt.support_runs import limited, try_config
from mmppvit.adapt.support_table import (
    SAMPLE,
    Row,
    folders,
    read_table,
    write_table,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('folder', SAMPLE)
def test_sample_works(folder, two_images):
    outcome = try_config(folders()[folder], two_images)
    assert outcome.state == 'works', outcome.detail
    assert 'loss' in outcome.detail


NAMED = (
    'faster_rcnn', 'cascade_rcnn', 'mask_rcnn', 'retinanet', 'fcos', 'atss', 'gfl', 'vfnet', 'tood',
    'yolox', 'rtmdet', 'yolof', 'centernet', 'cornernet', 'foveabox', 'free_anchor', 'paa', 'detr',
    'deformable_detr', 'dab_detr', 'dino', 'conditional_detr', 'ddq', 'sparse_rcnn', 'mask2former',
    'solo', 'solov2', 'condinst', 'htc', 'point_rend', 'panoptic_fpn')
MAY_GIVE_A_REASON = ('glip', 'grounding_dino', 'mm_grounding_dino')


def test_the_table_of_the_documentation():
    """`make adapt-support` writes it: most folders work, none is missing or fails for our part."""
    rows = read_table(ROOT / 'docs/adapt-support.csv')
    assert set(rows) == set(folders())
    assert sum(row.state == 'works' for row in rows.values()) >= 60
    assert [name for name in NAMED if rows[name].state != 'works'] == []
    assert [name for name, row in rows.items() if row.state == 'fails'] == []
    assert all(rows[name].detail for name in MAY_GIVE_A_REASON)
    page = (ROOT / 'docs/adapt-support.md').read_text()
    assert all(f'| {name} |' in page for name in rows)


def test_each_folder_has_a_config():
    chosen = folders()
    assert len(chosen) >= 90
    assert not {'_base_', 'common'} & set(chosen)


def spin() -> None:
    while True:
        pass


def test_limits_hold(monkeypatch):
    monkeypatch.setattr(support_runs, 'PATIENCE', .2)
    idle = limited(time.sleep, 99, seconds=1, gigabytes=30.)
    assert (idle.state, idle.detail) == ('fails', 'takes longer than 0.2 s')
    monkeypatch.setattr(support_runs, 'PATIENCE', 200.)  # however busy the machine is
    busy = limited(spin, seconds=1, gigabytes=30.)
    assert (busy.state, busy.detail) == ('fails', 'takes longer than 1 s of the CPU')
    assert limited(bytearray, 10, seconds=9, gigabytes=30.) == bytearray(10)
    assert 'Memory' in limited(bytearray, 2**33, seconds=9, gigabytes=4.).detail


def test_an_interrupted_run_goes_on(monkeypatch, tmp_path, capsys):
    """Rows are kept elsewhere until all are there; the table is never one of half of them."""
    import tools.adapt_support as tool
    names = ['atss', 'fcos', 'ssd']
    monkeypatch.setattr(tool, 'ROOT', tmp_path)
    monkeypatch.setattr(tool, 'folders', lambda: names)
    out = tmp_path / 'table.csv'
    monkeypatch.setattr('sys.argv', ['adapt_support.py', '--out', str(out)])
    asked = []

    def run(_, chosen, report):
        for name in chosen:
            asked.append(name)
            if len(asked) == 3:
                raise KeyboardInterrupt
            report(Row(name, name, 'works', 'loss'))
    monkeypatch.setattr(tool, 'run_folders', run)
    with pytest.raises(KeyboardInterrupt):
        tool.main()
    assert not out.exists()
    tool.main()
    assert asked == ['atss', 'fcos', 'ssd', 'ssd']
    assert list(read_table(out)) == names
    assert '2 rows of an earlier run: 1 are left' in capsys.readouterr().out
    tool.main()  # a finished run is over: the next one runs all
    assert asked[4:] == names


def test_the_table_is_read_and_written(tmp_path):
    rows = [Row('c', 'd', 'refused', 'x | y, "z"'), Row('a', 'b', 'works', 'loss')]
    write_table(tmp_path / 'table.csv', rows)
    assert list(read_table(tmp_path / 'table.csv').values()) == rows[::-1]
    page = (tmp_path / 'table.md').read_text()
    assert 'folders were run: 1 works, 1 refused.' in page
    assert '| c | d | refused | x \\| y, "z" |' in page
    assert read_table(tmp_path / 'none.csv') == {}
