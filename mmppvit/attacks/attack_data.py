"""The images of an attack: what the attacker has, and whom it attacks."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from mmppvit.annotations.image_names import plain_path
from mmppvit.attacks.attackers.interface import Pair
from mmppvit.attacks.attackers.known_scene import photograph_again
from mmppvit.encryption import Key, Scheme, pad_to_patches, unshuffle_patches
from mmppvit.sealed import Manifest, SealedImage, read_plain

__all__ = ['AttackData', 'load_attack_data']

_FEWEST = 4  # images: two to learn from, two to tell apart
_PATCH = 16  # that attackers cut learned protection into, which has no patches of its own
_COMPARED = 8  # images that are protected again to see whether they are the same: it takes long
_SAME = 4.  # levels; decoders of JPEG round differently, other images are further away


@dataclass
class AttackData:
    """Images for attackers on one sealed data set.

    Args:
        scheme (Scheme): How they were encrypted. Learned protection is bound to its network, and
            its images are padded to whole patches of 16.
        pairs (list[Pair]): The attacker's own images, encrypted with a key of its own.
        known (list[Pair]): The same images as the owner sealed them, for known-plaintext attacks;
            their ``order`` is None.
        victims (list[Pair]): Images of the sealed set with the plain ones, for the score; their
            ``order`` is None unless the owner's key was given.
        skipped (list): (file, reason) of images that could not be used.
    """
    scheme: Scheme
    pairs: list[Pair]
    known: list[Pair]
    victims: list[Pair]
    skipped: list[tuple[str, str]]

    def to_learn_from(self, what: str, seed: int = 0) -> list[Pair]:
        """What :meth:`Attacker.fit` is given.

        Args:
            what (str): ``Attacker.learns_from``. For 'scenes' these are photographs of the victims'
                views: simulated ones of another exposure, with noise of 4 levels, as JPEG of
                quality 75, the camera moved by 2 and 1 pixels.
            seed (int): Of their noise.
        """
        if what != 'scenes':
            return {'own': self.pairs, 'known': self.known}[what]
        return [Pair(victim.name, victim.encrypted,
                     photograph_again(victim.plain, shift=(2, 1), seed=seed + place), None)
                for place, victim in enumerate(self.victims)]


def load_attack_data(sealed: str | Path, plain_dir: str | Path, key: Key | None = None,
                  num_victims: int = 24, num_pairs: int = 400, scale: int = 0,
                  seed: int = 0, protector: str | Path | None = None,
                  window: tuple[float, float] | None = None) -> AttackData:
    """Split a sealed data set, whose plain images are at hand, into attacker and victims.

    The attacker has images of the same kind as the victims, which is more than most have: what
    it reconstructs here is what someone with similar images would. An image that is in the data
    set twice is no victim and the attacker's as well.

    Args:
        sealed (str | Path): A sealed data set.
        plain_dir (str | Path): The folder that it was sealed from.
        key (Key, optional): The owner's, to score reconstructed orders; attackers never see it.
        num_victims (int): Images to attack, drawn at random; at most half of all.
        num_pairs (int): Further images for the attacker, at most.
        scale (int): Index of the manifest's scales.
        seed (int): Of the draw.
        protector (str | Path, optional): The network's file, for learned protection: its users
            have it, and so have attackers.
        window (tuple, optional): (lo, hi) that the data set was sealed with, of images of more than
            8 bits, see :func:`mmppvit.sealed.read_plain`.

    Raises:
        ManifestError: The sealed data set was changed, or another key sealed it.
        ValueError: Fewer than four images can be read, two of them victims; or the protector
            lacks, or is another one.
    """
    manifest = Manifest.load(sealed)
    if key is not None and manifest.scheme.shuffles:
        manifest.check_key(key)
    manifest.scheme = _as_attacked(manifest.scheme, protector)
    images = [image for image in manifest.images if image.scale == scale]
    if len(images) < _FEWEST:
        raise ValueError(f'{sealed} has {len(images)} images of scale {scale}: an attack needs '
                         f'at least {_FEWEST}, two to learn from and two to reconstruct')
    order = np.random.default_rng(seed).permutation(len(images))
    num_victims = min(num_victims, len(images) // 2)
    data = AttackData(manifest.scheme, [], [], [], [])
    own_key = Key(hashlib.sha256(b'attacker %d' % seed).digest())
    attacked = set()
    for place, index in enumerate(order[:num_victims + num_pairs]):
        image = images[index]
        try:
            plain = _read_plain(Path(plain_dir), image, window)
            compare = not manifest.scheme.needs_protector or place < _COMPARED
            pair = _sealed_pair(manifest, image, plain, key, compare)
            digest = hashlib.sha256(plain).digest()
            if place < num_victims:
                attacked.add(digest)
                data.victims.append(pair)
            elif digest in attacked:
                raise ValueError(f'{image.source} shows the same as a victim')
            else:
                data.known.append(replace(pair, order=None))
                data.pairs.append(_own_pair(manifest, pair, plain, own_key))
        except (OSError, ValueError) as err:
            data.skipped.append((image.file, str(err)))
    _check_enough(data, sealed)
    return data


def _as_attacked(scheme: Scheme, protector: str | Path | None) -> Scheme:
    if not scheme.needs_protector:
        if protector is not None:
            raise ValueError(f'scheme {scheme.name} has no protector: leave --protector out')
        return scheme
    from mmppvit.models.protectors.protector_scheme import (
        bind_protector,  # needs torch, and the others do not
    )
    return bind_protector(replace(scheme, patch_size=_PATCH), protector)


def _check_enough(data: AttackData, sealed: str | Path) -> None:
    if len(data.victims) >= 2 and data.pairs:
        return
    reasons = '; '.join(reason for _, reason in data.skipped[:2])
    raise ValueError(f'too few images of {sealed} can be used: {len(data.victims)} victims '
                     f'and {len(data.pairs)} of the attacker are left'
                     + f'. {len(data.skipped)} are unfit, e.g.: {reasons}. --plain must name '
                     'the folder that the data set was sealed from' * bool(reasons))


def _read_plain(folder: Path, image: SealedImage, window: tuple[float, float] | None
                ) -> np.ndarray:
    """uint8 (H, W, 3), rescaled as it was when the scheme was applied, and not padded yet."""
    path = plain_path(folder, image.source)
    if not path.is_file():
        raise OSError(f'no plain image {image.source} in {folder}')
    img = read_plain(path, window).img
    if (img.shape[1], img.shape[0]) != tuple(image.plain):
        raise ValueError(f'{image.source} is {img.shape[1]}x{img.shape[0]}, it was '
                         f'{image.plain[0]}x{image.plain[1]} when it was sealed')
    if tuple(image.scaled) != tuple(image.plain):
        img = cv2.resize(img, tuple(image.scaled), interpolation=cv2.INTER_LINEAR)
    return img


def _sealed_pair(manifest: Manifest, image: SealedImage, plain: np.ndarray,
                 key: Key | None, compare: bool) -> Pair:
    encrypted = manifest.decode(image)
    if manifest.scheme.needs_protector:
        encrypted = pad_to_patches(encrypted, manifest.scheme.patch_size, manifest.pad_val)
    order = None
    if key is not None and manifest.scheme.shuffles:
        order = manifest.scheme.order(key, image.file, bytes.fromhex(image.nonce),
                                      encrypted.shape)
    if compare and not _is_same(manifest, plain, encrypted, order):
        raise ValueError(f'{image.source} is another image than the one that was sealed')
    padded = pad_to_patches(plain, manifest.scheme.patch_size, manifest.pad_val)
    return Pair(image.source, encrypted, padded, order)


def _is_same(manifest: Manifest, plain: np.ndarray, encrypted: np.ndarray,
             order: np.ndarray | None) -> bool:
    """Whether the sealed image may be one of the plain one, as far as that is seen quickly.

    Pixels are compared in place where they are in order, else as many as there are of each level.
    """
    scheme = manifest.scheme
    if scheme.drop:
        return True  # which patches are blank only the key tells
    own = scheme.in_order(plain, pad_val=manifest.pad_val)
    if order is not None:
        encrypted = unshuffle_patches(encrypted, scheme.side, order)
    elif scheme.shuffles or scheme.noisy:
        encrypted, own = (np.sort(img.reshape(-1, 3), axis=0) for img in (encrypted, own))
    allowed = _SAME
    if scheme.needs_protector:  # its images may have little contrast, and are all alike then
        encrypted, own = (img[:plain.shape[0], :plain.shape[1]] for img in (encrypted, own))
        allowed = min(_SAME, max(.25 * float(own.std((0, 1)).mean()), .5))
    return float(cv2.absdiff(encrypted, own).mean()) <= allowed


def _own_pair(manifest: Manifest, pair: Pair, plain: np.ndarray, key: Key) -> Pair:
    scheme = manifest.scheme
    if scheme.needs_protector:  # there is no key: the network gives the attacker the same file
        return replace(pair, order=None)
    # Padding comes after blurring and before mixing, so the scheme has to see it unpadded.
    encrypted = scheme.encrypt(plain, key if scheme.shuffles else None, pair.name,
                               manifest.pad_val)
    return Pair(pair.name, encrypted.img, pair.plain, encrypted.order)
