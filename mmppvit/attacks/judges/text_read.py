"""How much of the writing on plain images is read on reconstructed ones."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.judges.judge_list import JudgeFiles
from mmppvit.attacks.judges.plain_boxes import read_plain_boxes, victim_boxes
from mmppvit.attacks.judges.regions import Box, Region, RegionJudge, overlaps
from mmppvit.attacks.runner import AttackSettings
from mmppvit.utils.user_errors import need_packages

__all__ = ['RapidReader', 'Reader', 'TextRead']

WRITTEN = ('plate', 'text')  # classes whose name has one of these are places of writing
_SURE, _SHORTEST = .5, 3  # confidence and characters of what counts as read on a plain image
_MARGIN = 2  # pixels around a box


class Reader(Protocol):
    """What :class:`TextRead` asks of a reader of text."""

    def find(self, img: np.ndarray) -> list[Box]:
        """uint8 (H, W, 3), BGR -> boxes of lines."""

    def read(self, crop: np.ndarray) -> tuple[str, float]:
        """uint8 (h, w, 3), BGR, one line -> what is written there, and the confidence, 0 to 1."""


class TextRead(RegionJudge):
    """Share of the characters that a reader of text reads in their place again.

    Lines are those that the reader finds on the plain images at the sealed scale, and annotated
    boxes of classes named 'plate' or 'text'; of these the ones that it reads on the plain image
    with a confidence of at least 0.5. The place of every line is given to it, which favors the
    attacker. A line scores 1 less the edit distance relative to the longer of the two texts, and
    counts as many times as it has characters.

    Args:
        reader (Reader): Finds and reads lines.
        plain (Sequence[ndarray]): The victims.
        boxes (Sequence[Sequence[Box]]): For each victim, where writing is known to be.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: Nothing can be read on them.
        UserError: A package is missing.
    """
    title = 'characters read'
    what = 'characters read'

    @classmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles) -> TextRead:
        plain = [victim.plain for victim in data.victims]
        reader = RapidReader(settings.threads)
        boxes: list[list[Box]] = [[] for _ in plain]
        if files.ann:
            truth = read_plain_boxes(*files.ann)
            written = {index for index, item in truth.cats.items()
                       if any(word in item['name'].lower() for word in WRITTEN)}
            boxes = victim_boxes(truth, settings.sealed, settings.scale,
                                 [victim.name for victim in data.victims], written)
        return cls(reader, plain, boxes, settings.seed)

    def __init__(self, reader: Reader, plain: Sequence[np.ndarray],
                 boxes: Sequence[Sequence[Box]] = (), seed: int = 0) -> None:
        need_packages('rapidfuzz')
        self.reader = reader
        boxes = boxes or [()] * len(plain)
        regions = [region for victim, (img, known) in enumerate(zip(plain, boxes, strict=True))
                   for region in self._lines(victim, img, known)]
        if not regions:
            raise ValueError(f'nothing can be read on the {len(plain)} plain images, so the judge '
                             'of text has nothing to judge: leave text out of --judges')
        super().__init__(regions, len(plain), seed)

    def _lines(self, victim: int, img: np.ndarray, known: Sequence[Box]) -> list[Region]:
        boxes, lines = list(known), []
        for box in self.reader.find(img):
            # What was annotated is not counted twice.
            if not known or overlaps(np.array([box]), np.array(known)).max() < .3:
                boxes.append(box)
        for box in boxes:
            text, sure = self.reader.read(_cut(img, box))
            if sure >= _SURE and len(text) >= _SHORTEST:
                lines.append(Region(victim, tuple(round(float(v), 1) for v in box), text))
        return lines

    def weights(self) -> np.ndarray:
        return np.array([len(region.text) for region in self.regions], float)

    def scores(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        from rapidfuzz.distance import Levenshtein
        return np.array([Levenshtein.normalized_similarity(
            region.text, self.reader.read(_cut(imgs[region.victim], region.box))[0])
            for region in self.regions])


def _cut(img: np.ndarray, box: Box) -> np.ndarray:
    x1, y1 = (max(int(value) - _MARGIN, 0) for value in box[:2])
    x2, y2 = (int(np.ceil(value)) + _MARGIN for value in box[2:])
    return np.ascontiguousarray(img[y1:y2, x1:x2])


class RapidReader:
    """PP-OCRv4 by RapidOCR (Apache-2.0), with the weights that its package brings along.

    Args:
        threads (int): Of the CPU.

    Raises:
        UserError: A package is missing.
    """

    def __init__(self, threads: int = 1) -> None:
        need_packages('rapidocr_onnxruntime')
        from rapidocr_onnxruntime import RapidOCR  # an optional extra
        self._ocr = RapidOCR(intra_op_num_threads=threads, inter_op_num_threads=1)

    def find(self, img: np.ndarray) -> list[Box]:
        found, _ = self._ocr(img, use_det=True, use_cls=False, use_rec=False)
        corners = np.asarray(found if found is not None else [], float).reshape(-1, 4, 2)
        return [tuple(box) for box in np.concatenate([corners.min(1), corners.max(1)], 1).tolist()]

    def read(self, crop: np.ndarray) -> tuple[str, float]:
        if min(crop.shape[:2]) < 2:
            return '', 0.
        found, _ = self._ocr(crop, use_det=False, use_cls=False, use_rec=True)
        return (str(found[0][0]), float(found[0][1])) if found else ('', 0.)
