"""Jobs that make no sense are refused when they are made."""
from __future__ import annotations

import pytest

from mmppvit.encryption import Scheme
from tests.sealed.jobs import make_job


@pytest.mark.parametrize(('options', 'message'), [
    (dict(out='images'), 'lies in the folder of the plain'),
    (dict(out='images/sub/../new/sealed'), 'lies in the folder of the plain'),
    (dict(scheme=Scheme('shuffle', grid=1)), 'needs --key-file'),
    (dict(seal_metadata=True), 'need a key'),
    (dict(pseudonyms=True), 'need a key'),
    (dict(padding='black'), "padding 'black'"),
    (dict(name='a/b'), "name 'a/b' is not made of"),
    (dict(role='\x1b[2J'), r'role .* is not made of'),
    (dict(counter=0), 'counter must be 1 or more'),
    (dict(image_format='jpg'), "format 'jpg'"),
    (dict(scales=((9, 9), (9, 9))), 'given twice'),
    (dict(scales=((1_000_001, 800), )), 'more than 1000000 pixels'),
    (dict(shard=(2, 2)), 'shards of 2 are 0 to 1'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_jobs_that_make_no_sense(plain, tmp_path, options, message):
    options = {'out': tmp_path / 'out', **options}
    options['out'] = plain / options['out']
    with pytest.raises(ValueError, match=message):
        make_job(plain, **options)
