"""Judges of faces and of text: what counts, with detectors and readers that tests can see through.
"""
from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmppvit.attacks.judges import face_identity, judge_weights, text_read
from mmppvit.attacks.judges.face_detector import CenterFace
from mmppvit.attacks.judges.face_identity import FacesRecognized, load_recognizer
from mmppvit.attacks.judges.faces_found import FacesFound
from mmppvit.attacks.judges.judge_list import JudgeFiles, find_judges, requested_judges
from mmppvit.attacks.judges.judge_weights import find_weights
from mmppvit.attacks.judges.perceptual_similarity import PerceptualSimilarity
from mmppvit.attacks.judges.regions import overlaps
from mmppvit.attacks.judges.text_read import RapidReader, TextRead
from mmppvit.attacks.scoring.share_interval import share_interval
from mmppvit.utils.user_errors import UserError

GRAY = 128


def _image(*squares: tuple[int, int, int, int]) -> np.ndarray:
    """(x, y, side, level) each, on gray."""
    img = np.full((64, 96, 3), GRAY, np.uint8)
    for x, y, side, level in squares:
        img[y:y + side, x:x + side] = level
    return img


def _detect(img: np.ndarray) -> np.ndarray:
    """Every level but gray is one face."""
    boxes = []
    for level in np.unique(img[img != GRAY]):
        y, x = np.nonzero(img[..., 0] == level)
        boxes.append([x.min(), y.min(), x.max() + 1, y.max() + 1, 1.])
    return np.array(boxes, float).reshape(-1, 5)


PLAIN = [_image((0, 0, 40, 10), (50, 4, 34, 200)), _image((20, 20, 36, 60)), _image()]


def test_plain_images_have_all_faces_and_gray_ones_none():
    judge = FacesFound(_detect, PLAIN)
    assert judge(PLAIN)['mean'] == 1
    floor = judge([_image()] * 3)
    assert (floor['found'], floor['of'], floor['mean'], floor['low']) == (0, 3, 0., 0.)
    assert 0 < floor['high'] < 1
    assert floor['count'] == 2  # images with a face


def test_a_face_counts_in_its_place_only():
    judge = FacesFound(_detect, PLAIN)
    moved = [_image((4, 0, 40, 10)), _image((60, 20, 36, 60)), PLAIN[0]]
    score = judge(moved)
    assert score['regions'] == [1., 0., 0.]
    assert (score['found'], score['of']) == (1, 3)


def test_one_box_is_not_two_faces():
    close = [_image((0, 0, 30, 10), (10, 0, 30, 20))]
    judge = FacesFound(_detect, close)
    assert judge([_image((0, 0, 30, 10))])['found'] == 1


def test_images_without_faces_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match='leave faces and identity out of --judges'):
        FacesFound(_detect, [_image()])


def test_identity_needs_the_true_face_to_be_near_and_nearest():
    def describe(img, box):
        x, y = (int(value) for value in box[:2])
        return np.array([img[y + 2, x + 2, 0] / 100.])

    judge = FacesRecognized(_detect, describe, PLAIN)
    assert judge(PLAIN)['found'] == 3
    near = judge([_image((0, 0, 40, 20), (50, 4, 34, 190)), _image((20, 20, 36, 12)), _image()])
    # 0.1 away and nearest; 0.1 away; 0.48 away, but another face is nearer.
    assert near['regions'] == [1., 1., 0.]
    assert near['near'] == 1
    assert 0 < near['rank'] < .5
    assert judge([_image()] * 3)['distance'] == pytest.approx(.72)


def test_what_is_no_face_is_not_recognized():
    """However near the recognizer puts it."""
    judge = FacesRecognized(_detect, lambda img, box: img[int(box[1]), int(box[0]), :1] / 1000.,
                            PLAIN)
    floor = judge([np.full_like(img, GRAY) for img in PLAIN])
    assert floor['near'] == 1
    assert floor['found'] == 0


def test_small_faces_are_not_a_matter_of_identity():
    with pytest.raises(ValueError, match='no face of at least 32 pixels'):
        FacesRecognized(_detect, lambda img, box: np.zeros(1), [_image((0, 0, 20, 10))])


class Reader:
    """A line is a row of squares whose levels are letters."""

    def find(self, img):
        rows = np.flatnonzero((img[..., 0] != GRAY).any(1))
        return [(0., float(rows[0]), 96., float(rows[-1] + 1))] if len(rows) else []

    def read(self, crop):
        levels = [int(v) for v in crop[crop.shape[0] // 2, ::10, 0] if v != GRAY]
        return ''.join(chr(level) for level in levels), .9 if levels else 0.


def _written(text: str) -> np.ndarray:
    return _image(*((10 * k, 30, 10, ord(letter)) for k, letter in enumerate(text)))


def test_characters():
    plain = [_written('ABCDE'), _written('XY'), _written('FGH')]
    judge = TextRead(Reader(), plain)
    assert [region.text for region in judge.regions] == ['ABCDE', 'FGH']  # two are too few
    assert judge(plain)['mean'] == 1
    floor = judge([_image()] * 3)
    assert (floor['found'], floor['of']) == (0, 8)
    score = judge([_written('ABXDE'), _image(), _image()])
    assert score['regions'] == [.8, 0]
    assert (score['found'], score['mean']) == (4, .5)


def test_annotated_plates_are_read_once():
    plain = [_written('ABCDE')]
    judge = TextRead(Reader(), plain, [[(0, 30, 96, 40)]])
    assert len(judge.regions) == 1


def test_nothing_to_read():
    with pytest.raises(ValueError, match='leave text out of --judges'):
        TextRead(Reader(), [_image()])


def test_perceptual_similarity():
    judge = PerceptualSimilarity(lambda img: img[::8, ::8, 0].ravel() - 128., PLAIN[:2])
    score = judge(PLAIN[:2])
    assert score['mean'] == pytest.approx(1)
    assert score['nearest'] == 1
    assert judge(PLAIN[1::-1])['nearest'] == 0
    floor = judge([_image()] * 2)
    assert (floor['mean'], floor['nearest']) == (0, .5)  # both tie


def test_overlaps():
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], float)
    assert overlaps(boxes, boxes[:2]) == pytest.approx(np.array([[1, 1 / 3], [1 / 3, 1], [0, 0]]))
    assert overlaps(boxes, np.zeros((0, 4))).shape == (3, 0)


@pytest.mark.parametrize(('found', 'total', 'low', 'high'), [
    ([0, 0, 0], [5, 1, 2], 0, 1 - .025**(1 / 3)),
    ([5, 1, 0], [5, 1, 0], .025**.5, 1),  # the third has nothing to find
])
def test_intervals_have_a_width_where_nothing_or_all_is_found(found, total, low, high):
    assert share_interval(found, total) == pytest.approx((low, high))


def test_interval_by_image():
    """Ten faces of one image are one observation."""
    low, high = share_interval([10] * 5 + [0] * 5, [10] * 10)
    assert low <= .2
    assert high >= .8
    with pytest.raises(ValueError, match='something to find'):
        share_interval([0], [0])


# --- what is asked for, and what is missing -------------------------------------------------------


def test_names():
    assert requested_judges('') == []
    assert requested_judges('faces, text') == ['faces', 'text']
    assert len(requested_judges('all')) == 4
    with pytest.raises(ValueError, match='no judge ap, x: choose from identity, faces'):
        requested_judges('ap,x')


def test_nothing_is_loaded_unless_asked_for(sealed, monkeypatch):
    for name in ('faces_found', 'face_identity', 'text_read', 'perceptual_similarity'):
        monkeypatch.setitem(sys.modules, f'mmppvit.attacks.judges.{name}', None)
    settings = sealed.settings('mix')
    assert find_judges(settings, settings.load(), JudgeFiles()) == {}


@pytest.mark.parametrize(('load', 'module'), [
    (load_recognizer, 'dlib'), (RapidReader, 'rapidocr_onnxruntime'),
    (lambda: TextRead(Reader(), [_written('ABC')]), 'rapidfuzz')])
def test_a_missing_package_is_named_with_its_extra(load, module, monkeypatch):
    monkeypatch.setattr('mmppvit.utils.user_errors.find_spec',
                        lambda name: None if name == module else True)
    with pytest.raises(UserError, match=rf'{module} is not installed: pip install .*judges'):
        load()


def test_missing_weights(tmp_path, monkeypatch):
    monkeypatch.setenv('MMPPVIT_DATA', str(tmp_path / 'data'))
    monkeypatch.setattr(judge_weights, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match=r'no centerface\.onnx in .*models: name'):
        find_weights('centerface.onnx')
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models/centerface.onnx').touch()
    assert find_weights('centerface.onnx') == tmp_path / 'models/centerface.onnx'
    with pytest.raises(FileNotFoundError, match='--models'):
        find_weights('centerface.onnx', tmp_path)
    monkeypatch.setattr(judge_weights, 'find_spec',
                        lambda name: SimpleNamespace(origin=str(tmp_path / 'models/__init__.py')))
    monkeypatch.delenv('MMPPVIT_DATA')
    assert find_weights('centerface.onnx').parent == tmp_path / 'models'


# --- the real ones, where they are installed ------------------------------------------------------


@pytest.fixture(scope='module')
def photograph(coco_mini) -> np.ndarray:
    """Two people, 640x480, from COCO."""
    import cv2
    return cv2.imread(str(coco_mini / 'val2017/000000397133.jpg'))


def test_centerface_finds_no_face_in_gray(photograph, find_real_weights):
    detect = CenterFace(find_real_weights('centerface.onnx'))
    assert detect(np.full((70, 90, 3), GRAY, np.uint8)).shape == (0, 5)
    boxes = detect(photograph)
    assert ((boxes[:, :4] >= 0) & (boxes[:, 2:3] <= photograph.shape[1])).all()


def test_recognizer_and_reader_run():
    if importlib.util.find_spec('dlib') and importlib.util.find_spec('face_recognition_models'):
        face = face_identity.load_recognizer()(PLAIN[0], (0., 0., 40., 40.))
        assert face.shape == (128, )
        assert np.isfinite(face).all()
    if importlib.util.find_spec('rapidocr_onnxruntime'):
        import cv2
        img = np.full((60, 240, 3), 255, np.uint8)
        cv2.putText(img, 'B58DTK', (20, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
        judge = TextRead(text_read.RapidReader(), [img])
        assert judge.regions[0].text == 'B58DTK'
        assert judge([np.full_like(img, 255)])['found'] == 0
