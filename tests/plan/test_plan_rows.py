"""Tables: what is written reads back, and is whole at any moment."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mmppvit.plan.plan_rows import PlanTable, Row, read_rows, write_rows

ROWS = [Row('cfg', 'data', 'plain', map=.5, map50=.75, tokens=400., status='done', error='a, "b"'),
        Row('cfg', 'data', 'mix+center', grid=2, strength=1., parameters='gain=4', seed=3,
            cpu_seconds=12345.6, object_patches=1.075, map_first=.1234)]


def test_round_trip(tmp_path):
    write_rows(tmp_path / 'plan.csv', ROWS)
    assert read_rows(tmp_path / 'plan.csv') == ROWS


@pytest.mark.parametrize(('text', 'error'), [
    ('a,b\n1,2\n', 'has no columns scheme and map'),
    ('', 'has no columns scheme and map'),
    ('scheme,map,seed\nmix,.5,x\n', "line 2: seed is 'x', which is no number"),
])
def test_other_files_are_refused(tmp_path, text, error):
    (tmp_path / 'plan.csv').write_text(text)
    with pytest.raises(ValueError, match=r'plan\.csv') as err:
        read_rows(tmp_path / 'plan.csv')
    assert error in str(err.value)


def test_a_table_by_hand_needs_few_columns(tmp_path):
    (tmp_path / 'a.csv').write_text('scheme,map,status\nplain,.5,done\n')
    assert read_rows(tmp_path / 'a.csv') == [Row(scheme='plain', map=.5, status='done')]
    with pytest.raises(FileNotFoundError, match='no table'):
        read_rows(tmp_path / 'none.csv')


def test_a_row_keeps_its_label_when_it_is_changed(tmp_path):
    table, row = PlanTable(tmp_path / 'plan.csv'), Row(scheme='noise', strength=1.23456)
    table.add(row)
    table.change([(row.label, 0)], map=.1)
    assert [row.label for row in table.rows + read_rows(table.path)] == [row.label] * 2


def test_changes_of_several_threads_are_all_kept(tmp_path):
    table = PlanTable(tmp_path / 'plan.csv')
    rows = [Row(scheme='mix', seed=seed) for seed in range(20)]
    for row in rows:
        table.add(row)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: table.change([(row.label, row.seed)], epochs=row.seed), rows))
    assert [row.epochs for row in read_rows(tmp_path / 'plan.csv')] == list(range(20))
    again = PlanTable(tmp_path / 'plan.csv')
    again.add(Row(scheme='mix', seed=3, epochs=99))
    assert again.get('mix P16', 3).epochs == 3, 'a row that is there stays'
