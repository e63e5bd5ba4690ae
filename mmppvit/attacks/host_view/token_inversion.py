"""What tokens of a backbone tell: the pixels of their patches, by a linear map that is learned."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mmppvit.attacks.scoring.image_metrics import bootstrap_interval
from mmppvit.encryption import split_patches
from mmppvit.two_party.run_halves import find_images, read_image
from mmppvit.two_party.split import BackboneHalf

__all__ = ['TokenInversion', 'attack_tokens', 'invert_tokens']

_MOST_PATCHES = 40_000  # to learn from: least squares of 768 numbers need no more


@dataclass(frozen=True)
class TokenInversion:
    """How much of the pixels comes back.

    Args:
        explained (float): Share of the variance of the patches' pixels; 0 of the mean patch, 1 of
            the patches themselves. Mean over images.
        low, high (float): 95 % bootstrap interval over images.
        psnr (float): Of the pixels, in dB; mean over images.
        mean_patch_psnr (float): The same of the mean patch, which takes no token.
        learned_from, images (int): Images to learn from, and attacked ones.
    """
    explained: float
    low: float
    high: float
    psnr: float
    mean_patch_psnr: float
    learned_from: int
    images: int


def attack_tokens(model: Path, images: Sequence[Path], num_images: int = 80, seed: int = 0,
                  progress: Callable[[int, int], None] = lambda done, total: None
                  ) -> TokenInversion:
    """Invert the tokens of a backbone half.

    The attacker has the backbone, so that it makes tokens of images of its own. Half of the images
    are those, the others are attacked.

    Args:
        model (Path): What `mmppvit split --backbone-out` wrote.
        images (Sequence[Path]): Images as the backbone sees them, or folders of them.
        num_images (int): At most, drawn at random.
        seed (int): Of the draw.
        progress (Callable): Called with the images done and their total.

    Raises:
        FileNotFoundError: A file or folder is missing.
        ValueError: There are fewer than 4 images, or one cannot be read.
    """
    half, found = BackboneHalf.load(model), sorted(find_images(images).values())
    if len(found) < 4:
        raise ValueError(f'{len(found)} images are too few: give 2 to learn from and 2 to attack, '
                         'at least')
    drawn = np.random.default_rng(seed).permutation(len(found))[:num_images]
    pairs = []
    for k in drawn:
        pairs.append(_tokens_and_patches(half, read_image(found[k])))
        progress(len(pairs), len(drawn))
    return invert_tokens(pairs[:len(pairs) // 2], pairs[len(pairs) // 2:], seed)


def _tokens_and_patches(half: BackboneHalf, img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, D) and (N, side * side * 3), of patches that lie within the image as a whole."""
    side = half.backbone.patch_embed.stride
    tokens = half([img])[-1][0].float().cpu().numpy()
    rows, cols = (extent // side for extent in img.shape[:2])
    patches = split_patches(img[:rows * side, :cols * side], side).reshape(rows * cols, -1)
    return tokens[:, :rows, :cols].reshape(len(tokens), -1).T, patches.astype(np.float32)


def invert_tokens(learn: Sequence[tuple[np.ndarray, np.ndarray]],
                  attacked: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0
                  ) -> TokenInversion:
    """Learn a linear map from tokens to pixels by ridge regression, and apply it.

    Args:
        learn, attacked (Sequence[tuple]): For each image tokens (N, D) and pixels (N, P) of the
            patches, 0 to 255.
        seed (int): Of the draw of patches and of the bootstrap.
    """
    tokens, pixels = (np.concatenate(part) for part in zip(*learn, strict=True))
    drawn = np.random.default_rng(seed).permutation(len(tokens))[:_MOST_PATCHES]
    scaler = StandardScaler().fit(tokens[drawn])
    linear = Ridge(alpha=1.).fit(scaler.transform(tokens[drawn]), pixels[drawn])
    mean, shares, ratios, floors = pixels.mean(0), [], [], []
    for token, pixel in attacked:
        error = np.square(np.clip(linear.predict(scaler.transform(token)), 0, 255) - pixel).mean()
        nothing = np.square(mean - pixel).mean()
        shares.append(1 - error / max(nothing, 1e-6))
        ratios.append(_decibel(error))
        floors.append(_decibel(nothing))
    low, high = bootstrap_interval(shares, seed=seed)
    return TokenInversion(float(np.mean(shares)), low, high, float(np.mean(ratios)),
                          float(np.mean(floors)), len(learn), len(attacked))


def _decibel(error: float) -> float:
    return float(min(10 * np.log10(255**2 / max(error, 1e-6)), 100.))
