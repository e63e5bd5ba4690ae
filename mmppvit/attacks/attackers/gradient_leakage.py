"""Gradient leakage: a client's image from the gradient that it sends to train a model.

The model of the client is known, as in federated training, and so is the number of images behind
the gradient: one. A table of positions gives every patch away, with its place, in closed form
(Lu et al., 'APRIL', CVPR 2022, arXiv 2112.14087). Without positions the gradient is the same for
the patches in any order, so no attacker can find the order in it; the patches themselves it may
tell.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmppvit.attacks.attackers.gradients.client_model import (
    ClientModel,
    client_gradient,
    to_image,
    to_patches,
)
from mmppvit.attacks.attackers.gradients.closed_forms import patches_from_positions
from mmppvit.attacks.attackers.gradients.gradient_search import invert_gradient, place_by_gradient
from mmppvit.attacks.attackers.interface import Budget
from mmppvit.sealed.plain_images import list_folder, read_plain

__all__ = ['GradientLeak', 'attack_client', 'attack_clients', 'leak_of_gradient']


@dataclass(frozen=True)
class GradientLeak:
    """What a gradient told of one image.

    Args:
        psnr (float): Of the reconstructed image, in dB.
        psnr_any_order (float): Of its patches, each compared with the plain patch that it is
            assigned to, wherever that is: what is reconstructed up to the order.
        in_place (float): Share of the patches that are most like the plain patch of their place, by
            that assignment.
        chance (float): What guessing the order gives, 1 / N.
    """
    psnr: float
    psnr_any_order: float
    in_place: float
    chance: float


def leak_of_gradient(img: Tensor, reconstructed: Tensor, side: int) -> GradientLeak:
    """Score ``reconstructed`` against ``img``, both (1, 3, H, W) with values in [-1, 1]."""
    plain, found = (to_patches(each, side).double().numpy() for each in (img, reconstructed))
    cost = ((found[:, None] - plain[None])**2).mean(2)
    places = linear_sum_assignment(cost)[1]
    errors = np.diag(cost).mean(), cost[np.arange(len(cost)), places].mean()
    psnr, any_order = (min(10 * np.log10(4 / max(error, 1e-12)), 100.) for error in errors)
    return GradientLeak(float(psnr), float(any_order),
                        float((places == np.arange(len(places))).mean()), 1 / len(places))


def attack_client(img: np.ndarray, patch_size: int = 16, label: int = 0, steps: int = 600,
                  seed: int = 0, budget: Budget | None = None) -> dict[str, GradientLeak]:
    """Every attack on one image, of a model with positions and of one without, untrained.

    Args:
        img (ndarray): uint8 (H, W, 3); sides multiples of ``patch_size``. Small: the search takes
            several passes through the model a step.
        patch_size (int): In pixels of ``img``.
        label (int): Its class, 0 to 9.
        steps (int): Of the search.
        seed (int): Of model, search and order.
        budget (Budget, optional): Searches stop when it is used up.

    Returns:
        dict[str, GradientLeak]: By attack. Those called 'patches known' are given all patches as
        they are and look for the order alone.
    """
    x = torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))[None].float() / 127.5 - 1
    shape = img.shape[0] // patch_size, img.shape[1] // patch_size
    leaks = {}
    for positions in (True, False):
        torch.manual_seed(seed)
        model = ClientModel(shape, positions, patch_size).eval()
        gradients = client_gradient(model, x, label)
        patches = to_patches(x, patch_size)
        order = place_by_gradient(model, gradients, patches, shape, seed)
        found = {'search': invert_gradient(model, gradients, img.shape[:2], steps, seed=seed,
                                           budget=budget),
                 'patches known': to_image(patches[torch.from_numpy(order)], shape, patch_size)}
        if positions:
            found['closed form'] = to_image(patches_from_positions(gradients), shape, patch_size)
        kind = 'with positions' if positions else 'without positions'
        leaks.update({f'{kind}, {name}': leak_of_gradient(x, each.clamp(-1, 1), patch_size)
                      for name, each in found.items()})
    return leaks


def attack_clients(img_dir: Path, count: int = 4, size: int = 64, patch_size: int = 16,
                   steps: int = 600, seed: int = 0,
                   progress: Callable[[str], None] = lambda line: None) -> dict[str, GradientLeak]:
    """:func:`attack_client` on images of a folder, resized to squares: the mean of each figure.

    Args:
        img_dir (Path): Folder of plain images, also below it.
        count (int): Images to attack, at most; they are chosen with ``seed``.
        size (int): Side of the squares in pixels, a multiple of ``patch_size``.
        patch_size (int): In pixels.
        steps (int): Of each search.
        seed (int): Of models, searches and the choice.
        progress (Callable): Gets one line an image.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It has no image that can be read, or the patch does not divide the size.
    """
    if size % patch_size:
        raise ValueError(f'images of {size} pixels are not whole patches of {patch_size}: choose a '
                         'multiple')
    if not img_dir.is_dir():
        raise FileNotFoundError(f'no folder {img_dir}')
    names = list_folder(img_dir)[0]
    chosen = [names[i] for i in np.random.default_rng(seed).permutation(len(names))[:count]]
    leaks = []
    for number, name in enumerate(chosen, 1):
        try:
            img = read_plain(img_dir / name).img
        except OSError as err:
            progress(f'{number}/{len(chosen)} {name}: {err}')
            continue
        progress(f'{number}/{len(chosen)} {name}')
        img = cv2.resize(img, (size, size), interpolation=cv2.INTER_AREA)
        leaks.append(attack_client(img, patch_size, number % 10, steps, seed))
    if not leaks:
        raise ValueError(f'{img_dir} has no images that can be read')
    return {name: _mean([leak[name] for leak in leaks]) for name in leaks[0]}


def _mean(leaks: Sequence[GradientLeak]) -> GradientLeak:
    rows = [asdict(leak) for leak in leaks]
    return GradientLeak(**{key: float(np.mean([row[key] for row in rows])) for key in rows[0]})
