"""Every fault of a COCO json: corrected, refused or noted, with the right words and values."""
from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools.mask import encode

from mmppvit.annotations import AnnotationError, check_file, parse_coco
from mmppvit.annotations import check_coco as check_lists
from mmppvit.annotations.json_stream import PackedItems
from tests.annotations.coco_samples import ap_of_perfect_detections, sample

NAN, INFINITY = float('nan'), float('inf')


def check_coco(data, name):
    """Of the lists, and of the same that are packed: the same is found and kept."""
    packed = {key: PackedItems(value) if key in ('images', 'annotations') and isinstance(
        value, list) else value for key, value in json.loads(json.dumps(data)).items()}
    found, report = check_lists(data, name)
    packed, its_report = check_lists(packed, name)
    assert its_report == report
    if not report.refused:
        assert _text({key: list(value) if isinstance(value, PackedItems) else value
                      for key, value in packed.items()}) == _text(found)
    return found, report


def _text(data: dict) -> str:
    return json.dumps(data, sort_keys=True)


def _bent(bend) -> dict:
    data = sample()
    bend(data)
    return data


def _all(kind: str, **values):
    """A function that sets fields of all entries of a list; a value may be a function."""
    def bend(data):
        for item in data[kind]:
            item.update({key: value(item[key]) if callable(value) else value
                         for key, value in values.items()})
    return bend


def _first(kind: str, **values):
    return lambda data: data[kind][0].update(values)


def _without(kind: str, key: str):
    def bend(data):
        for item in data[kind]:
            del item[key]
    return bend


def _added(kind: str, **values):
    return lambda data: data[kind].append(dict(data[kind][0], **values))


def _renumbered(types):
    """Ids of images, of annotations' images, of categories and of annotations' categories."""
    def bend(data):
        for (kind, key), kind_of in zip(
                [('images', 'id'), ('annotations', 'image_id'), ('categories', 'id'),
                 ('annotations', 'category_id')], types, strict=True):
            for item in data[kind]:
                item[key] = kind_of(item[key])
    return bend


def test_what_is_right_is_left_as_it_is():
    data, report = check_coco(sample(), 'a.json')
    assert data == sample()
    assert report.findings == []
    assert report.lines() == ['a.json: 2 images, 3 annotations, 2 categories; can be used']
    assert set(ap_of_perfect_detections(data).values()) == {1.}


CORRECTED = {
    'no area': (_without('annotations', 'area'), 3, 'area completed'),
    'area null': (_all('annotations', area=None), 3, 'area completed'),
    'area nan': (_first('annotations', area=NAN), 1, 'area completed'),
    'area 0': (_all('annotations', area=0), 3, 'area completed'),
    'area a string': (_first('annotations', area='200'), 1, 'area completed'),
    'area a list': (_first('annotations', area=[]), 1, 'area completed'),
    'area beyond AP': (_first('annotations', area=1e11), 1, 'area completed'),
    'no iscrowd': (_without('annotations', 'iscrowd'), 3, 'iscrowd completed'),
    'iscrowd null': (_all('annotations', iscrowd=None), 3, 'iscrowd completed'),
    'iscrowd false': (_all('annotations', iscrowd=False), 3, 'iscrowd completed'),
    'iscrowd nan': (_first('annotations', iscrowd=NAN), 1, 'iscrowd completed'),
    'iscrowd a string': (_first('annotations', iscrowd='0'), 1, 'iscrowd completed'),
    'annotation id 0': (_first('annotations', id=0), 1, 'annotation id 0'),
    'image_id strings': (_all('annotations', image_id=str), 3, 'image_id matched'),
    'image_id padded': (_all('annotations', image_id='{:012d}'.format), 3, 'image_id matched'),
    'image_id floats': (_all('annotations', image_id=float), 3, 'image_id matched'),
    'image ids strings': (_all('images', id=str), 3, 'image_id matched'),
    'image ids padded': (_all('images', id='{:012d}'.format), 3, 'image_id matched'),
    'image ids floats': (_all('images', id=float), 2, 'image id written as a float'),
    'one image id a string': (_first('images', id='1'), 1, 'image id written as a string'),
    'category_id strings': (_all('annotations', category_id=str), 3, 'category_id matched'),
    'category ids strings': (_all('categories', id=str), 3, 'category_id matched'),
    'ids strings': (_all('annotations', id=str), 3, 'annotation id written as a string'),
    'ids floats': (_all('annotations', id=float), 3, 'annotation id written as a float'),
    'size floats': (_all('images', width=float, height=float), 2, 'width written as a float'),
    'unused twin': (lambda data: data['categories'].insert(0, dict(id=0, name='cat')), 1,
                    'category left out'),
}


@pytest.mark.parametrize('case', CORRECTED)
def test_what_is_corrected_is_said_and_loses_nothing(case):
    bend, count, words = CORRECTED[case]
    data, report = check_coco(_bent(bend), 'a.json')
    assert not report.refused, report.lines()
    found = {finding.what: finding for finding in report.of('corrected')}
    (finding, ) = (finding for what, finding in found.items() if what.startswith(words))
    assert finding.count == count
    assert finding.first
    assert [item['bbox'] for item in data['annotations']] == \
        [item['bbox'] for item in sample()['annotations']]
    assert {item['name'] for item in data['categories']} == {'cat', 'dog'}
    assert set(ap_of_perfect_detections(data).values()) == {1.}
    assert all(item['area'] == item['bbox'][2] * item['bbox'][3] and item['iscrowd'] == 0
               for item in data['annotations'])
    assert check_coco(json.loads(json.dumps(data)), 'a.json')[1].findings == []


LEFT_OUT = {
    'orphan': (_added('annotations', id=99, image_id=4242), 'whose image_id is not the id of any'),
    'no category': (_added('annotations', id=99, category_id=55), 'whose category_id is not'),
    'no width': (_added('annotations', id=99, bbox=[10, 10, 0, 5]), 'whose box has no area'),
    'no height': (_added('annotations', id=99, bbox=[10, 10, 5, 1e-9]), 'whose box has no area'),
}


@pytest.mark.parametrize('case', LEFT_OUT)
def test_what_is_left_out_is_said(case):
    bend, words = LEFT_OUT[case]
    data, report = check_coco(_bent(bend), 'a.json')
    (finding, ) = report.findings
    assert (finding.action, finding.count) == ('corrected', 1)
    assert 'annotation left out ' + words in finding.what
    assert finding.first.startswith('annotation 99: ')
    assert data['annotations'] == sample()['annotations']
    assert set(ap_of_perfect_detections(data).values()) == {1.}


NOTED = {
    'outside': (_added('annotations', id=99, bbox=[500, 500, 10, 10]), 'outside of its image'),
    'thin': (_added('annotations', id=99, bbox=[5, 5, .5, 10]), 'narrower than a pixel'),
    'reaching out': (_added('annotations', id=99, bbox=[-5, -5, 20, 20]), 'reaches out'),
    'ignored': (_added('annotations', id=99, ignore=1), 'ignore 1'),
    'two points': (_added('annotations', id=99, segmentation=[[1, 2, 3, 4]]), 'fewer than three'),
    'file twice': (_all('images', file_name='a.jpg'), 'listed more than once'),
}


@pytest.mark.parametrize('case', NOTED)
def test_what_others_pass_over_is_noted(case):
    bend, words = NOTED[case]
    given = _bent(bend)
    data, report = check_coco(_bent(bend), 'a.json')
    (finding, ) = report.findings
    assert (finding.action, finding.count) == ('noted', 1)
    assert words in finding.what
    assert data == given


BAD_VALUES = [NAN, INFINITY, -INFINITY, '12', [], {}, None, True]
BAD_NUMBERS = [*BAD_VALUES, 10**400, 1e300, .5]
REFUSED = {
    **{f'bbox {value!r:.9}': (_first('annotations', bbox=value), 'bbox that is not four',
                              'annotation 11') for value in BAD_VALUES},
    **{f'in bbox {value!r:.9}': (_first('annotations', bbox=[1, 2, value, 4]), 'bbox that is not',
                                 'annotation 11') for value in BAD_VALUES},
    **{f'{key} {value!r:.9}': (_first('images', **{key: value}), f'image whose {key} is not',
                               'image 1') for key in ('width', 'height')
       for value in [*BAD_NUMBERS, 0, -3]},
    **{f'image id {value!r:.9}': (_first('images', id=value), 'image id that is not',
                                  'image number 1') for value in BAD_NUMBERS if value != '12'},
    **{f'category id {value!r:.9}': (_first('categories', id=value), 'category id that is not',
                                     'category number 1')
       for value in BAD_NUMBERS if value != '12'},
    **{f'id {value!r:.9}': (_first('annotations', id=value), 'annotation id that is not',
                            'annotation number 1') for value in BAD_NUMBERS if value != '12'},
    **{f'image_id {value!r:.9}': (_first('annotations', image_id=value), 'image_id that is not the',
                                  'annotation 11') for value in BAD_NUMBERS if value != '12'},
    **{f'no {key}': (_without(kind, key), words, where) for kind, key, words, where in [
        ('annotations', 'bbox', 'bbox that is not four', 'annotation 11: bbox is missing'),
        ('annotations', 'id', 'annotation id', 'annotation number 1: id is missing'),
        ('annotations', 'image_id', 'image_id', 'annotation 11: image_id is missing'),
        ('annotations', 'category_id', 'category_id', 'annotation 11: category_id is missing'),
        ('images', 'id', 'image id', 'image number 1: id is missing'),
        ('images', 'width', 'image whose width', 'image 1: width is missing'),
        ('images', 'height', 'image whose height', 'image 1: height is missing'),
        ('images', 'file_name', 'image without a file_name', 'image 1: file_name is missing'),
        ('categories', 'name', 'category without a name', 'category 2: name is missing')]},
    'negative width': (_first('annotations', bbox=[30, 30, -10, -12]), 'negative width', 'n 11'),
    'beyond AP': (_first('annotations', bbox=[0, 0, 2e5, 5]), 'above 100000', 'annotation 11'),
    'image id twice': (_all('images', id=1), 'image id that is given more than once',
                       'image id 1 is there 2 times'),
    'annotation id twice': (_all('annotations', id=5), 'annotation id that is given more',
                            'annotation id 5 is there 3 times'),
    'category id twice': (_all('categories', id=5), 'category id that is given more',
                          'category id 5 is there 2 times'),
    'ids that match two': (lambda data: (_renumbered((str, str, int, int))(data),
                                         data['images'][1].update(id='01'),
                                         _all('annotations', image_id=1)(data)),
                           'image_id that is not the id of any image, nor can be matched', '1'),
    'names of images': (_all('annotations', image_id='a.jpg'), 'image_id that is not the id of any',
                        "image_id is 'a.jpg'"),
    'all crowd': (_all('annotations', iscrowd=1), 'all crowd', 'all 3 annotations'),
    'all ignored': (_all('annotations', ignore=1), 'all to be ignored', 'all 3'),
    'crowd of 2': (_first('annotations', iscrowd=2), 'iscrowd that is neither', 'iscrowd is 2'),
    'ignore a string': (_first('annotations', ignore='0'), 'ignore that is', "ignore is '0'"),
    'all orphans': (_all('annotations', image_id=77), 'no annotation is left', 'all 3'),
    'shares': (_all('annotations', bbox=[.2, .3, .5, .1]), 'shares of the image', 'annotation 11'),
    'twins in use': (_all('categories', name='cat'), 'name of two categories', "'cat' has the ids"),
    'mask of nan': (_first('annotations', segmentation=[[1, 2, NAN, 4, 5, 6]]),
                    'not a list of lists of finite', 'annotation 11'),
    'mask a string': (_first('annotations', segmentation='x'), 'neither polygons nor RLE', ''),
    'mask of another size': (_first('annotations', segmentation=dict(size=[64, 48], counts='0')),
                             'another size', 'annotation 11'),
    'mask that ends early': (_first('annotations', segmentation=dict(size=[48, 64], counts=[9])),
                             'do not add up', 'annotation 11'),
    'key points': (_first('annotations', keypoints=[1, NAN, 2]), 'keypoints that are', 'ion 11'),
    'images an object': (lambda data: data.update(images={}), 'not a COCO annotation', 'images is'),
    'no images': (lambda data: data.pop('images'), 'not a COCO annotation', 'images is missing'),
    'no categories': (lambda data: data.pop('categories'), 'no categories', 'missing or []'),
    'images empty': (lambda data: data.update(images=[]), 'lists no images', 'images is []'),
    'annotations null': (lambda data: data.update(annotations=None), 'not a COCO', 'tions is'),
    'an entry a list': (lambda data: data['annotations'].append([1]), 'entry of annotations',
                        'annotations number 4 is [1]'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_is_refused_names_file_id_and_field(case):
    bend, words, where = REFUSED[case]
    _, report = check_coco(_bent(bend), 'a.json')
    assert report.refused
    assert words in report.error()
    assert where in report.error()
    assert report.error().startswith('a.json cannot be used: ')
    assert '\n' not in report.error()


def test_everything_is_reported_at_once():
    data = sample()
    data['images'][0]['width'] = None
    data['annotations'][0]['bbox'] = [NAN] * 4
    data['annotations'][1].update(bbox=[], id=13)
    del data['annotations'][2]['area']
    _, report = check_coco(data, 'a.json')
    assert [(finding.action, finding.count) for finding in report.findings] == [
        ('refused', 1), ('refused', 1), ('refused', 2), ('corrected', 1)]
    assert report.lines()[0] == 'a.json: 2 images, 3 annotations, 2 categories; cannot be used'
    assert any('2 x bbox that is not four finite numbers' in line
               and 'first: annotation 11: bbox is [nan, nan, nan, nan]' in line
               for line in report.lines())


def test_the_ap_of_an_annotation_with_id_0_is_lost_without_mending():
    """What the check is there for: this is pycocotools, see cocoapi issue 572."""
    data = _bent(_first('annotations', id=0))
    assert ap_of_perfect_detections(data)[2] < .6
    assert ap_of_perfect_detections(check_coco(data, 'a.json')[0])[2] == 1.


@pytest.mark.parametrize('types', [(str, str, str, str), (float, float, float, float),
                                   ('img_{}'.format, 'img_{}'.format, 'c{}'.format, 'c{}'.format),
                                   (int, str, int, str), (str, int, str, int),
                                   (float, str, int, int)])
def test_ids_of_any_type_that_agree(types):
    data, report = check_coco(_bent(_renumbered(types)), 'a.json')
    assert not report.refused
    assert len(data['annotations']) == 3
    assert set(ap_of_perfect_detections(data).values()) == {1.}


def test_a_json_without_annotations_is_of_a_test_set():
    data = sample()
    del data['annotations'], data['info']
    data, report = check_coco(data, 'a.json')
    assert report.findings == []
    assert (data['annotations'], data['info']) == ([], {})


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be',
                                      'utf-32'])
def test_encodings(tmp_path, encoding):
    data = sample()
    data['categories'][0]['name'] = '红细胞'
    content = json.dumps(data, ensure_ascii=False).encode(encoding)
    assert parse_coco(content, 'a.json')[0] == data
    (tmp_path / 'a.json').write_bytes(content)
    assert not check_file(tmp_path / 'a.json').refused


@pytest.mark.parametrize(('content', 'words'), [
    (b'', 'it is not JSON'), (b'{', 'it is not JSON'), (b'\0', 'it is not'), (b'[]', 'a list'),
    (b'[' * 100_000, 'nested too deeply'), ('{"a": "ß"}'.encode('cp1252'), 'save it as UTF-8'),
    (b'{"images": ' + b'9' * 5000 + b'}', 'JSON that can be read'), (b'"text"', 'it holds a str'),
])
def test_what_is_no_json(tmp_path, content, words):
    with pytest.raises(AnnotationError, match=r'^a\.json .*not a COCO annotation file') as caught:
        parse_coco(content, 'a.json')
    assert words in str(caught.value)
    (tmp_path / 'a.json').write_bytes(content)
    assert words in check_file(tmp_path / 'a.json').error()
    with pytest.raises(FileNotFoundError, match=r'no annotation file .*b\.json'):
        check_file(tmp_path / 'b.json')


@settings(max_examples=100)
@given(arrays(np.bool_, (48, 64), elements=st.booleans(), fill=st.booleans()))
def test_every_rle_of_pycocotools_is_taken(mask):
    counts = encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()
    bent = _bent(_first('annotations', segmentation=dict(size=[48, 64], counts=counts)))
    assert check_coco(bent, 'a.json')[1].findings == []


@pytest.mark.parametrize('counts', ['', '!!bad!!', '\u00e9', '0', 'P', 'oooooooooooooooooooo', 'n'])
def test_rle_that_pycocotools_cannot_read_is_refused(counts):
    bent = _bent(_first('annotations', segmentation=dict(size=[48, 64], counts=counts)))
    assert 'is RLE whose counts' in check_coco(bent, 'a.json')[1].error()


@pytest.mark.parametrize('value', ['yes', 'crowd', [], {}, [0], 2, -1, .5])
def test_a_flag_that_means_nothing_is_refused(value):
    report = check_coco(_bent(_first('annotations', iscrowd=value)), 'a.json')[1]
    assert 'iscrowd that is neither 0 nor 1' in report.error()


@pytest.mark.parametrize('text', [
    '{"images": [], "images": []}', '{"images": [{"id": 1, "id": 2}]}'])
def test_a_key_that_is_there_twice_is_refused(text):
    """Python would take the last, and lose the other list."""
    with pytest.raises(AnnotationError, match=r"a.json is .* has '(images|id)' twice"):
        parse_coco(text.encode(), 'a.json')
