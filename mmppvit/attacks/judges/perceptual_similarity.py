"""How much reconstructed images look like plain ones to a network that was trained without labels.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from mmppvit.attacks.attack_data import AttackData
from mmppvit.attacks.judges.judge_list import Judge, JudgeFiles
from mmppvit.attacks.judges.judge_weights import find_weights
from mmppvit.attacks.runner import AttackSettings
from mmppvit.attacks.scoring.image_metrics import summarize
from mmppvit.models.checkpoints import load_whole
from mmppvit.models.checkpoints.tensor_files import read_state_dict

__all__ = ['PerceptualSimilarity', 'load_dinov2']

_SHORT, _LONGEST, _PATCH = 224, 448, 14  # pixels
_MEAN, _STD = (.485, .456, .406), (.229, .224, .225)  # of ImageNet, RGB


class PerceptualSimilarity(Judge):
    """Cosine of the angle between the features of the reconstructed and the plain image.

    Args:
        describe (Callable): uint8 (H, W, 3), BGR -> float (D, ).
        plain (Sequence[ndarray]): The victims.
        seed (int): Of the bootstrap.
    """
    title = 'perceptual similarity'

    @classmethod
    def from_files(cls, settings: AttackSettings, data: AttackData, files: JudgeFiles
                   ) -> PerceptualSimilarity:
        torch.set_num_threads(settings.threads)
        describe = load_dinov2(find_weights('vit_small_patch14_dinov2.safetensors', files.models))
        return cls(describe, [victim.plain for victim in data.victims], settings.seed)

    def __init__(self, describe: Callable[[np.ndarray], np.ndarray], plain: Sequence[np.ndarray],
                 seed: int = 0) -> None:
        self.describe, self.seed = describe, seed
        self.plain = self._described(plain)

    def _described(self, imgs: Sequence[np.ndarray]) -> np.ndarray:
        features = np.stack([self.describe(img) for img in imgs]).astype(np.float64)
        return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)

    def __call__(self, imgs: Sequence[np.ndarray]) -> dict[str, float]:
        """Also 'worst' and 'worst_index', and 'nearest', the share whose nearest plain image is
        the true one; of n that tie, 1 / n.
        """
        similarity = np.round(self._described(imgs) @ self.plain.T, 6)
        true = np.diag(similarity)
        ties = (similarity == true[:, None]).sum(1)
        nearest = np.where(true >= similarity.max(1), 1 / ties, 0.)
        found = summarize(true, self.seed)
        return dict(mean=found.mean, low=found.low, high=found.high, worst=found.worst,
                    worst_index=found.worst_index, count=found.count,
                    nearest=float(nearest.mean()))


def load_dinov2(path) -> Callable[[np.ndarray], np.ndarray]:
    """Features of the class token of DINOv2's ViT-S/14 (Oquab et al. 2023; Apache-2.0).

    Args:
        path (str | Path): Tensors with the names that timm gives them, as safetensors.

    Raises:
        ValueError: They do not fit the network.
    """
    import timm
    net = timm.create_model('vit_small_patch14_dinov2', num_classes=0, dynamic_img_size=True)
    load_whole(net, read_state_dict(path), str(path))
    net.eval()

    def describe(img: np.ndarray) -> np.ndarray:
        scale = _SHORT / min(img.shape[:2])
        height, width = (min(max(round(side * scale / _PATCH), 1) * _PATCH, _LONGEST)
                         for side in img.shape[:2])
        small = cv2.resize(img, (width, height), interpolation=cv2.INTER_AREA)[..., ::-1]
        values = (small.astype(np.float32) / 255 - np.float32(_MEAN)) / np.float32(_STD)
        with torch.inference_mode():
            return net(torch.from_numpy(values).permute(2, 0, 1)[None])[0].numpy()

    return describe
