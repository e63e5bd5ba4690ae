"""What a json or a folder says is to be sealed, and what of the json is handed over."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmppvit.sealed.image_files import is_safe_name
from mmppvit.sealed.sources import (
    Annotations,
    Source,
    annotation_remarks,
    output_names,
    read_sources,
)

IMAGE = dict(id=1, file_name='a.jpg', width=4, height=3)
BOX = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 1, 1], area=1, iscrowd=0,
           segmentation=dict(size=[3, 4], counts='<'))


def _sealed(path: Path, *names: str | None) -> tuple[dict, list[str]]:
    """The json that is handed over, and the fields that it leaves out."""
    found = Annotations(path, lambda: iter(names))
    return json.loads(b''.join(found.parts())), sorted(found.dropped)


@pytest.mark.parametrize(('names', 'expected'), [
    (['a.jpg', 'b/c.jpeg', 'b/d'], ['a.png', 'b/c.png', 'b/d.png']),
    (['a.jpg', 'a.png', 'b.jpg'], ['a.jpg.png', 'a.png.png', 'b.png']),
    (['a.jpg', 'A.png'], ['a.jpg.png', 'A.png.png']),
    (['a/x.jpg', 'b/x.jpg'], ['a/x.png', 'b/x.png']),
    (['a.b.jpg', 'a.c.jpg'], ['a.b.png', 'a.c.png']),
    (['a.jpg', 'a.png', 'a.jpg.png'], ['a.jpg.png', 'a.png.png', 'a.jpg.png.png']),
    (['12:30.jpg', 'a\nb.jpg', 'c\\d.jpg'], ['12_30.png', 'a_b.png', 'c_d.png']),
    (['a:b.jpg', 'a_b.jpg', 'a\\b.jpg'], ['a_b.jpg-0.png', 'a_b.jpg-1.png', 'a_b.jpg-2.png']),
], ids=['plain', 'shared', 'case', 'folders', 'dots', 'whole-name-taken', 'other-systems',
        'same-on-others'])
def test_sealed_names(names, expected):
    assert output_names([Source(name) for name in names], 'png') == expected


@given(st.lists(st.text('aA.j:_\\', min_size=1, max_size=4).filter(lambda s: s.strip('.')).map(
    lambda s: f'{s}.jpg') | st.sampled_from(['a.png', 'a.jpg', 'a.jpg.png', 'a.jpg.png.jpg']),
    unique=True, max_size=8), st.sampled_from(['png', 'webp']))
def test_sealed_names_are_unique(names, image_format):
    found = output_names([Source(name) for name in names], image_format)
    assert len({name.lower() for name in found}) == len(names)
    assert all(map(is_safe_name, found))
    assert all(name.endswith(f'.{image_format}') for name in found)


@pytest.mark.parametrize(('data', 'message'), [
    ([], 'not a COCO annotation file'),
    (dict(), 'not a COCO annotation file'),
    (dict(images=None), 'not a COCO annotation file'),
    (dict(images=[]), 'lists no images'),
    (dict(images=[dict(id=1, file_name='a.jpg')]), 'width'),
    (dict(images=[IMAGE | dict(width='wide')]), "width is 'wide'"),
    (dict(images=[{k: v for k, v in IMAGE.items() if k != 'id'}]), 'id is missing'),
    (dict(images=[IMAGE, IMAGE | dict(id=2)]), 'a.jpg more than once'),
    (dict(images=[IMAGE, IMAGE | dict(file_name='b.jpg')]), 'image id 1 is there 2 times'),
    (dict(images=[IMAGE], annotations=[dict(id=1)],
          categories=[dict(id=1, name='x')]), 'image_id is missing'),
    (dict(images=[IMAGE], annotations=None), 'not a COCO annotation file'),
    (dict(images=[IMAGE], annotations=[BOX | dict(bbox=[float('nan')] * 4)],
          categories=[dict(id=1, name='x')]), 'nan, nan'),
    (dict(images=[IMAGE | dict(file_name='../a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='x/../../a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='/etc/a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name='..\\a.jpg')]), 'not a name below'),
    (dict(images=[IMAGE | dict(file_name=7)]), 'file_name is 7'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_json_that_does_not_do_is_refused(tmp_path, data, message):
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as caught:
        read_sources(tmp_path, tmp_path / 'ann.json')
    assert 'ann.json' in str(caught.value)


@pytest.mark.parametrize('text', ['', '{', '\0', '[' * 100_000],
                         ids=['empty', 'cut', 'zero', 'deep'])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / 'ann.json').write_text(text)
    with pytest.raises(ValueError, match='not a COCO annotation file'):
        read_sources(tmp_path, tmp_path / 'ann.json')


@pytest.mark.parametrize(('listed', 'file'), [
    ('a.jpg', 'a.jpg'), ('./a.jpg', 'a.jpg'), ('sub//b.jpg', 'sub/b.jpg'),
    ('sub\\b.jpg', 'sub/b.jpg'), ('12:30.jpg', '12:30.jpg'), ('c d.jpg', 'c%20d.jpg'),
    ('{root}/sub/b.jpg', 'sub/b.jpg'), ('\u00e9.jpg', 'e\u0301.jpg'), ('gone.jpg', 'gone.jpg'),
    ('x\\gone.jpg', 'x/gone.jpg'), ('what?.jpg', 'what?.jpg'), ('e\\f.jpg', 'e\\f.jpg'),
])
def test_names_mean_files(tmp_path, listed, file):
    (tmp_path / 'sub').mkdir()
    for name in ('a.jpg', 'sub/b.jpg', '12:30.jpg', 'c%20d.jpg', 'e\u0301.jpg', 'what?.jpg',
                 'e\\f.jpg'):
        (tmp_path / name).touch()
    listed = listed.replace('{root}', str(tmp_path))
    data = dict(images=[IMAGE | dict(file_name=listed)], annotations=[BOX],
                categories=[dict(id=1, name='x')])
    data['annotations'][0] = dict(BOX, iscrowd=0)
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    (source, ), _ = read_sources(tmp_path, tmp_path / 'ann.json')
    assert (source.name, source.in_json) == (file, listed)
    sealed, _ = _sealed(tmp_path / 'ann.json', 'x.png')
    assert sealed['images'][0]['file_name'] == 'x.png'


def test_what_was_mended_is_handed_over_and_said(tmp_path):
    box = {key: value for key, value in BOX.items() if key not in ('area', 'iscrowd')}
    data = dict(images=[IMAGE], annotations=[dict(box, id=0, image_id='1')],
                categories=[dict(id=1, name='x')])
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    sealed, _ = _sealed(tmp_path / 'ann.json', 'a.png')
    assert sealed['annotations'] == [dict(box, id=1, image_id=1, area=1, iscrowd=0)]
    remarks = annotation_remarks(tmp_path / 'ann.json')
    assert [line.partition(' (')[0] for line in remarks] == [
        'corrected 1 x image_id matched with the id of the image, which is written otherwise',
        'corrected 1 x iscrowd completed or made 0 or 1',
        'corrected 1 x area completed as width * height of the box',
        'corrected 1 x annotation id 0, which pycocotools takes for none, numbered anew']


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.json'):
        read_sources(tmp_path, tmp_path / 'none.json')
    with pytest.raises(FileNotFoundError, match='no folder'):
        read_sources(tmp_path / 'none', None)
    with pytest.raises(ValueError, match='has no images'):
        read_sources(tmp_path, None)


def test_only_what_training_needs_is_handed_over(tmp_path):
    data = dict(
        info=dict(date_created='2017'), licenses=[dict(id=1, url='http://a')],
        images=[IMAGE | dict(flickr_url='http://b', date_captured='today', license=1),
                dict(id=2, file_name='gone.jpg', width=1, height=1)],
        annotations=[BOX | dict(caption='Alice'),
                     dict(BOX, id=2, image_id=2, segmentation=[])],
        categories=[dict(id=1, name='person', supercategory='being', note='x')])
    (tmp_path / 'ann.json').write_text(json.dumps(data))
    sealed, dropped = _sealed(tmp_path / 'ann.json', 'a.png', None)
    assert sealed == dict(  # pycocotools 2.0.9 and 2.0.10 need info
        info={}, images=[IMAGE | dict(file_name='a.png')], annotations=[BOX],
        categories=[dict(id=1, name='person', supercategory='being')])
    assert dropped == [
        'annotations.caption', 'categories.note', 'images.date_captured', 'images.flickr_url',
        'images.license', 'info (whole)', 'licenses (whole)']
