"""What a json or a folder says is to be sealed, and what of the json is handed over."""
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.sealed.sources import Source, output_names, read_sources, sealed_annotations

IMAGE = dict(id=1, file_name='a.jpg', width=4, height=3)
BOX = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 1, 1], area=1, iscrowd=1,
           segmentation=dict(size=[3, 4], counts='0'))


@pytest.mark.parametrize(('names', 'expected'), [
    (['a.jpg', 'b/c.jpeg', 'b/d'], ['a.png', 'b/c.png', 'b/d.png']),
    (['a.jpg', 'a.png', 'b.jpg'], ['a.jpg.png', 'a.png.png', 'b.png']),
    (['a.jpg', 'A.png'], ['a.jpg.png', 'A.png.png']),
    (['a/x.jpg', 'b/x.jpg'], ['a/x.png', 'b/x.png']),
    (['a.b.jpg', 'a.c.jpg'], ['a.b.png', 'a.c.png']),
    (['a.jpg', 'a.png', 'a.jpg.png'], ['a.jpg.png', 'a.png.png', 'a.jpg.png.png']),
], ids=['plain', 'shared', 'case', 'folders', 'dots', 'whole-name-taken'])
def test_sealed_names(names, expected):
    assert output_names([Source(name) for name in names], 'png') == expected


@given(st.lists(st.text('aA.j', min_size=1, max_size=4).filter(lambda s: s.strip('.')).map(
    lambda s: f'{s}.jpg') | st.sampled_from(['a.png', 'a.jpg', 'a.jpg.png', 'a.jpg.png.jpg']),
    unique=True, max_size=8), st.sampled_from(['png', 'webp']))
def test_sealed_names_are_unique(names, image_format):
    found = output_names([Source(name) for name in names], image_format)
    assert len(set(found)) == len(names)
    assert all(name.endswith(f'.{image_format}') for name in found)


@pytest.mark.parametrize(('data', 'message'), [
    ([], 'not a COCO annotation file'),
    (dict(), 'not a COCO annotation file'),
    (dict(images=None), 'not a COCO annotation file'),
    (dict(images=[]), 'lists no images'),
    (dict(images=[dict(id=1, file_name='a.jpg')]), 'width'),
    (dict(images=[IMAGE | dict(width='wide')]), 'not a COCO annotation file'),
    (dict(images=[{k: v for k, v in IMAGE.items() if k != 'id'}]), "KeyError 'id'"),
    (dict(images=[IMAGE, IMAGE]), 'a.jpg more than once'),
    (dict(images=[IMAGE], annotations=[dict(id=1)]), "KeyError 'image_id'"),
    (dict(images=[IMAGE], annotations=None), 'not a COCO annotation file'),
    (dict(images=[IMAGE], annotations=[BOX | dict(area=float('nan'))]), 'NaN is not a number'),
    (dict(images=[IMAGE | dict(file_name='../a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='x/../../a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='/etc/a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='b\\a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name=7)]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name=['a'])]), 'not a COCO annotation file'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_json_that_does_not_do_is_refused(tmp_path, data, message):
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message):
        read_sources(tmp_path, tmp_path / 'ann.json')


@pytest.mark.parametrize('text', ['', '{', '\0', '[' * 100_000, '{"images": [{"id": 1, "file_name":'
                                  ' "a.jpg", "width": 1e999, "height": 1}]}'],
                         ids=['empty', 'cut', 'zero', 'deep', 'infinite'])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / 'ann.json').write_text(text)
    with pytest.raises(ValueError, match='not a COCO annotation file'):
        read_sources(tmp_path, tmp_path / 'ann.json')


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        read_sources(tmp_path, tmp_path / 'none.json')
    with pytest.raises(FileNotFoundError, match='no folder'):
        read_sources(tmp_path / 'none', None)
    with pytest.raises(ValueError, match='has no images'):
        read_sources(tmp_path, None)
    (tmp_path / '12:30.jpg').touch()
    with pytest.raises(ValueError, match=r"'12:30\.jpg'.*rename"):
        read_sources(tmp_path, None)


def test_only_what_training_needs_is_handed_over(tmp_path):
    data = dict(
        info=dict(date_created='2017'), licenses=[dict(id=1, url='http://a')],
        images=[IMAGE | dict(flickr_url='http://b', date_captured='today', license=1),
                dict(id=2, file_name='gone.jpg', width=1, height=1)],
        annotations=[BOX | dict(caption='Alice'), dict(BOX, id=2, image_id=2)],
        categories=[dict(id=1, name='person', supercategory='being', note='x')])
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    content, dropped = sealed_annotations(tmp_path / 'ann.json', {'a.jpg': 'a.png'})
    assert json.loads(content) == dict(
        images=[IMAGE | dict(file_name='a.png')], annotations=[BOX],
        categories=[dict(id=1, name='person', supercategory='being')])
    assert dropped == [
        'annotations.caption', 'categories.note', 'images.date_captured', 'images.flickr_url',
        'images.license', 'info (whole)', 'licenses (whole)']
