"""A toy ViT and toy photographs."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

COLORS = dict(red=(40, 40, 200), blue=(200, 60, 40))


def toy_vit(**kwargs) -> VisionTransformer:
    """Patches of 8, 24 channels in 3 heads, 2 blocks, positions for 4x4 patches."""
    torch.manual_seed(0)
    options = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=0,
                   dynamic_img_size=True)
    vit = VisionTransformer(**{**options, **kwargs})
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=.2)
    return vit.eval()


def toy_state(**kwargs) -> dict[str, Tensor]:
    return toy_vit(**kwargs).state_dict()


def write_photographs(root: Path, count: int = 8, side: int = 64) -> tuple[Path, Path]:
    """Noise with a red and a blue square each, and a json: its path and that of the folder."""
    rng = np.random.default_rng(0)
    folder = root / 'images'
    folder.mkdir()
    images, objects = [], []
    for number in range(count):
        img = rng.integers(90, 130, (side, side, 3), dtype=np.uint8)
        for label, color in enumerate(COLORS.values()):
            x, y = 4 + 30 * label, int(rng.integers(4, 40))
            img[y:y + 20, x:x + 20] = color
            objects.append(dict(id=len(objects) + 1, image_id=number + 1, category_id=label + 1,
                                bbox=[x, y, 20, 20], area=400, iscrowd=0))
        cv2.imwrite(str(folder / f'{number}.png'), img)
        images.append(dict(id=number + 1, file_name=f'{number}.png', width=side, height=side))
    ann = root / 'instances.json'
    ann.write_text(json.dumps(dict(images=images, annotations=objects, categories=[
        dict(id=i + 1, name=name) for i, name in enumerate(COLORS)])))
    return ann, folder
