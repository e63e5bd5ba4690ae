"""How many faces of plain images are recognized on reconstructed ones."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.judges.face_detector import CenterFace
from mmppvit.attacks.judges.faces_found import find_faces, found_again
from mmppvit.attacks.judges.judge_list import JudgeFiles
from mmppvit.attacks.judges.judge_weights import find_weights
from mmppvit.attacks.judges.regions import Box, RegionJudge
from mmppvit.attacks.runner import AttackSettings
from mmppvit.utils.user_errors import need_packages

__all__ = ['FacesRecognized', 'load_recognizer']

SAME_PERSON = .6  # distance; what dlib's documentation takes for the same person
_SMALLEST = 32  # pixels; of smaller faces the network tells little even where they are plain


class FacesRecognized(RegionJudge):
    """Share of faces that a face recognizer takes for the true person, and for nobody else.

    Recognized is a face that the detector finds in its place, whose descriptor is less than 0.6
    from that of its plain image, and nearer to it than to every other plain face of the victims.
    Without the detector the distance means nothing: the recognizer puts what is no face, such as
    a mean image, less than 0.6 from many faces.

    Args:
        detect (Callable): uint8 (H, W, 3), BGR -> float (N, 5), x1, y1, x2, y2 and score.
        describe (Callable): The image and one such box -> float (128, ).
        plain (Sequence[ndarray]): The victims.
        seed (int): Of the bootstrap.

    Raises:
        ValueError: There is no face of at least 32 pixels on them.
    """
    title = 'faces recognized'
    what = 'faces recognized'

    @classmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles
                   ) -> FacesRecognized:
        describe = load_recognizer()
        cv2.setNumThreads(settings.threads)
        detect = CenterFace(find_weights('centerface.onnx', files.models))
        return cls(detect, describe, [victim.plain for victim in data.victims], settings.seed)

    def __init__(self, detect: Callable[[np.ndarray], np.ndarray],
                 describe: Callable[[np.ndarray, Box], np.ndarray], plain: Sequence[np.ndarray],
                 seed: int = 0) -> None:
        self.detect, self.describe = detect, describe
        super().__init__(find_faces(detect, plain, _SMALLEST), len(plain), seed)
        self.gallery = self._described(plain)

    def _described(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([self.describe(imgs[region.victim], region.box)
                         for region in self.regions])

    def distances(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        """(M, M): of each reconstructed face to each plain one."""
        faces = self._described(imgs)
        return np.linalg.norm(faces[:, None] - self.gallery, axis=-1)

    def scores(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        return self._recognized(self.distances(imgs), imgs)

    def _recognized(self, distances: np.ndarray, imgs: Sequence[np.ndarray]) -> np.ndarray:
        return _true_and_near(distances) * found_again(self.detect, self.regions, imgs)

    def __call__(self, imgs: Sequence[np.ndarray]) -> dict[str, float]:
        """Also 'distance', the median to the true face, 'near', the share below 0.6 whether a
        face is detected there or not, and 'rank', the mean place of the true face among all, as a
        share: 0 is first, 0.5 is guessing.
        """
        distances = self.distances(imgs)
        true = np.diag(distances)
        ahead = (distances < true[:, None]).sum(1) + ((distances == true[:, None]).sum(1) - 1) / 2
        return {**self.summarized(self._recognized(distances, imgs)),
                'distance': float(np.median(true)), 'near': float((true < SAME_PERSON).mean()),
                'rank': float((ahead / max(len(true) - 1, 1)).mean())}


def _true_and_near(distances: np.ndarray) -> np.ndarray:
    """(M, M) -> (M, ): 1 where the true face is near and nearest; of n that tie, 1 / n."""
    true = np.diag(distances)
    nearest = true <= distances.min(1)
    ties = (distances == true[:, None]).sum(1)
    return np.where(nearest & (true < SAME_PERSON), 1 / ties, 0.)


def load_recognizer() -> Callable[[np.ndarray, Box], np.ndarray]:
    """dlib's ResNet, which was trained to tell people apart (King 2017; CC0).

    Raises:
        UserError: A package is missing.
    """
    need_packages('dlib', 'face_recognition_models')
    import dlib  # an optional extra
    folder = Path(find_spec('face_recognition_models').origin).parent / 'models'
    landmarks = dlib.shape_predictor(str(folder / 'shape_predictor_5_face_landmarks.dat'))
    network = dlib.face_recognition_model_v1(
        str(folder / 'dlib_face_recognition_resnet_model_v1.dat'))

    def describe(img: np.ndarray, box: Box) -> np.ndarray:
        rgb = np.ascontiguousarray(img[..., ::-1])
        shape = landmarks(rgb, dlib.rectangle(*(round(value) for value in box)))
        return np.asarray(network.compute_face_descriptor(rgb, shape))

    return describe
