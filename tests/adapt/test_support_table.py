"""A sample of the support table, really run."""
from __future__ import annotations

import pytest

from mmppvit.adapt.support_runs import limited, try_config
from mmppvit.adapt.support_table import (
    SAMPLE,
    Row,
    folders,
    read_table,
    write_table,
)


@pytest.mark.parametrize('folder', SAMPLE)
def test_sample_works(folder, two_images):
    outcome = try_config(folders()[folder], two_images)
    assert outcome.state == 'works', outcome.detail
    assert 'loss' in outcome.detail


def test_each_folder_has_a_config():
    chosen = folders()
    assert len(chosen) >= 90
    assert not {'_base_', 'common'} & set(chosen)


def test_limits_hold():
    import time
    assert limited(time.sleep, 9, seconds=.2, gigabytes=30.).state == 'fails'
    assert limited(bytearray, 10, seconds=9, gigabytes=30.) == bytearray(10)


def test_the_table_is_read_and_written(tmp_path):
    rows = [Row('c', 'd', 'refused', 'x | y, "z"'), Row('a', 'b', 'works', 'loss')]
    write_table(tmp_path / 'table.csv', rows)
    assert list(read_table(tmp_path / 'table.csv').values()) == rows[::-1]
    page = (tmp_path / 'table.md').read_text()
    assert 'folders were run: 1 works, 1 refused.' in page
    assert '| c | d | refused | x \\| y, "z" |' in page
    assert read_table(tmp_path / 'none.csv') == {}
