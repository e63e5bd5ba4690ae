"""JSON that is read piece by piece is the same as read whole, wherever the pieces end."""
from __future__ import annotations

import io
import json
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmppvit.annotations import AnnotationError, checked_file, json_stream, read_coco, stream_coco
from mmppvit.annotations.json_stream import PackedItems, editing, read_lists, repeated
from mmppvit.annotations.json_text import parse_json
from tests.annotations.coco_samples import sample

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
    st.text(max_size=4), inner, max_size=4), max_leaves=8)
OBJECTS = st.dictionaries(st.sampled_from(['images', 'annotations', 'info']) | st.text(max_size=3),
                          VALUES | st.lists(VALUES, max_size=9), max_size=5)


@settings(max_examples=60)
@given(OBJECTS, st.integers(4, 40), st.sampled_from([None, 1]), st.booleans(),
       st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-be', 'utf-32']))
def test_any_object_in_any_pieces(data, chunk, indent, ascii_only, encoding):
    content = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    try:
        content = content.encode(encoding)
    except UnicodeEncodeError:  # half of a surrogate pair
        content = json.dumps(data, indent=indent).encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, '_CHUNK', chunk)
        patch.setattr(json_stream, '_BLOCK', 2)
        found = read_lists(io.BytesIO(content), ('images', 'annotations'))
        for key in ('images', 'annotations'):
            assert isinstance(found.get(key), PackedItems) == isinstance(data.get(key), list)
            if isinstance(data.get(key), list):
                found[key] = list(found[key])
    assert json.dumps(found) == json.dumps(parse_json(content))


@given(st.text('{}[]",:1.e- \naimges', max_size=12), st.integers(4, 9))
def test_what_is_no_object_is_refused(text, chunk):
    content = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, '_CHUNK', chunk)
        try:
            whole = parse_json(content)
        except ValueError:
            whole = None
        if isinstance(whole, dict):
            assert read_lists(io.BytesIO(content), ()) == whole
        else:
            with pytest.raises(ValueError, match=r'.'):
                read_lists(io.BytesIO(content), ())


@pytest.mark.parametrize('text', [
    '{"images": [], "images": []}', '{"images": [{"id": 1, "id": 2}]}', '{"images": [1,]}',
    '{"images": [1 2]}', '{"images": []} {}', '{"images": [], }', '{,"images": []}', '{"images"}',
    '{1: []}', '{"images": [}', '{"images": [nul]}'])
def test_what_the_whole_text_refuses_is_refused(text):
    with pytest.raises(ValueError, match=r'.'):
        parse_json(text.encode())
    with pytest.raises(ValueError, match=r'.'):
        read_lists(io.BytesIO(text.encode()), ('images', ))


@given(st.lists(st.dictionaries(st.text(max_size=3), SCALARS, max_size=3), max_size=9))
def test_packed_items_are_changed_in_place(items):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, '_BLOCK', 3)
        packed = PackedItems(items)
        assert json.dumps(list(packed)) == json.dumps(items)
        for kind in (packed, items):
            for place, item in enumerate(editing(kind)):
                if place % 2:
                    item['place'] = place
        for item in packed:
            item['place'] = 'nowhere'  # of a copy
        assert json.dumps(list(packed)) == json.dumps(items)
        assert len(packed) == len(items)


@given(st.lists(st.integers(-3, 3) | st.sampled_from(['a', '1', 1., True]), max_size=9))
def test_repeated(values):
    expected = {value: count for value, count in Counter(values).items() if count > 1}
    assert list(repeated(lambda: iter(values)).items()) == list(expected.items())


def test_a_file_is_read_as_if_it_were_whole(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(sample()))
    data, report, digest = stream_coco(path)
    whole, its_report = read_coco(path)
    assert report == its_report
    assert {key: list(value) if isinstance(value, PackedItems) else value
            for key, value in data.items()} == whole
    assert len(digest) == 64
    for content in (b'[]', b'{', b'{"images": [], "images": []}', b'{}', b'[' * 100_000):
        path.write_bytes(content)
        errors = []
        for read in (read_coco, stream_coco):
            with pytest.raises(AnnotationError) as caught:
                read(path)
            errors.append(str(caught.value))
        assert errors[0] == errors[1]
    with pytest.raises(FileNotFoundError, match='no annotation file'):
        stream_coco(tmp_path / 'none.json')


@pytest.mark.parametrize('field', ['file_name', 'else'])
def test_nesting_near_the_limit_is_read_as_if_it_were_whole(tmp_path, field):
    """Packing items takes some more depth than reading them."""
    path = tmp_path / 'a.json'
    for depth in range(880, 1000, 10):
        nested = '[' * depth + ']' * depth
        path.write_text(json.dumps(sample() | dict(images=[
            dict(image) | {field: '?'} for image in sample()['images']])).replace('"?"', nested))
        found = []
        for read in (read_coco, stream_coco):
            try:
                data, report = read(path)[:2]
                found.append((report, len(list(data['images']))))
            except AnnotationError as err:
                found.append(str(err).partition('[')[0])
        assert found[0] == found[1]


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'

    def change(path, read=checked_file.read_coco):
        path.write_text(json.dumps(sample()))
        return read(path)

    path.write_text('{')
    monkeypatch.setattr(checked_file, 'read_coco', change)
    with pytest.raises(AnnotationError, match='changed while it was read: try again'):
        stream_coco(path)


def test_a_large_file_is_not_held(tmp_path, monkeypatch):
    """It takes a tenth of what its lists take."""
    monkeypatch.setattr(json_stream, '_BLOCK', 100)
    path = tmp_path / 'a.json'
    count = 600
    path.write_text(json.dumps(dict(
        images=[dict(id=i, file_name=f'{i:012d}.jpg', width=640, height=480, coco_url='http://x/y')
                for i in range(count)],
        annotations=[dict(id=i + 1, image_id=i, category_id=1, bbox=[i % 7, 2.5, 30, 40],
                          area=1200., iscrowd=0, segmentation=[[i % 7, 2.5, 33, 2.5, 33, 42.5]])
                     for i in range(count)],
        categories=[dict(id=1, name='thing')])))
    taken = []
    for read in (read_coco, stream_coco):
        tracemalloc.start()
        kept = read(path)
        taken.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(kept[0]['annotations']) == count
    assert taken[1] < taken[0] / 10
