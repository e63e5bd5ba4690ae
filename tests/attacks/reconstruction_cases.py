"""Images that reconstruction attackers are tried on, and how well they did."""
from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mmppvit.attacks import Attacker, Pair
from mmppvit.encryption import EncryptedImage, Key, Scheme


class Blurred(Scheme):
    """A scheme in order that does not mix: Gaussian blur of the plain image."""

    mixes = shuffles = centers = property(lambda self: False)

    def encrypt(self, img, key=None, image_id='', pad_val=0) -> EncryptedImage:
        return EncryptedImage(cv2.GaussianBlur(img, (0, 0), 2.), None, None)


def drawn_images(count: int, height: int = 96, width: int = 128, seed: int = 0) -> list:
    """Discs and rectangles on a shade, uint8 BGR, with soft edges."""
    rng = np.random.default_rng(seed)
    imgs = []
    for _ in range(count):
        img = smooth_image(height, width, rng)
        for _ in range(6):
            color = [int(c) for c in rng.integers(20, 236, 3)]
            x, y = int(rng.integers(width)), int(rng.integers(height))
            size = int(rng.integers(8, 32))
            if rng.random() < .5:
                cv2.circle(img, (x, y), size, color, -1)
            else:
                cv2.rectangle(img, (x, y), (x + size, y + size), color, -1)
        imgs.append(cv2.GaussianBlur(img, (0, 0), .8))
    return imgs


def smooth_image(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A shade: bicubic from 3 x 4 colors, none near black or white."""
    few = rng.uniform(60, 196, (3, 4, 3)).astype(np.float32)
    img = cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(img, 40, 216).astype(np.uint8)


def make_pairs(scheme: Scheme, imgs: Sequence[np.ndarray], seed: int = 0) -> list[Pair]:
    rng = np.random.default_rng(seed)
    pairs = []
    for number, img in enumerate(imgs):
        key = Key(rng.bytes(32)) if scheme.shuffles else None
        made = scheme.encrypt(img, key, str(number))
        pairs.append(Pair(str(number), made.img, img, made.order))
    return pairs


def psnr(attacker: Attacker, victims: Sequence[Pair]) -> float:
    """Mean over the victims, in dB; checks the frames on the way."""
    found = []
    for victim in victims:
        img = attacker.reconstruct(victim.encrypted).img
        assert img.dtype == np.uint8
        assert img.shape == victim.plain.shape
        found.append(peak_signal_noise_ratio(victim.plain, img))
    return float(np.mean(found))


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    return float(structural_similarity(a, b, channel_axis=2))
