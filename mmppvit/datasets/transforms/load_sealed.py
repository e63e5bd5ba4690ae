"""Sealed images in an MMDetection pipeline."""
from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from mmppvit.datasets.transforms.shuffle_transforms import load_key
from mmppvit.encryption import Key
from mmppvit.sealed import MANIFEST, Manifest, ManifestError, SealedImage
from mmppvit.utils.remote_files import RemotePath, as_place, is_url

__all__ = ['LoadSealedAnnotations', 'LoadSealedImage', 'PackSealedInputs', 'ReadSeal',
           'open_manifest']


def open_manifest(root: str | Path | RemotePath, backend_args: dict | None = None) -> Manifest:
    """The manifest of a folder, read once as long as it does not change.

    Args:
        root (str | Path | RemotePath): The folder, or its URL.
        backend_args (dict, optional): MMEngine's, of the backend 'fsspec'.

    Raises:
        ManifestError: There is none, or it is not valid.
    """
    root = as_place(root, backend_args)
    path = root / MANIFEST
    try:
        if isinstance(path, RemotePath):
            return _open_manifest(root, path.state())
        status = os.stat(path)
    except OSError:
        return Manifest.load(root)  # says what is wrong
    return _open_manifest(root, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _open_manifest(root: Path | RemotePath, *_) -> Manifest:
    return Manifest.load(root)


@lru_cache(maxsize=64)
def _find_root(folder: Path | RemotePath) -> Path | RemotePath:
    for parent in (folder, *folder.parents):
        if _is_file(parent / MANIFEST):
            return parent
    raise ManifestError(f'{folder} and the folders above have no {MANIFEST}: it is not part of a '
                        'sealed data set')


def _is_file(path: Path | RemotePath) -> bool:
    if not isinstance(path, RemotePath):
        return path.is_file()
    try:
        return path.size() > 0
    except OSError:
        return False


@TRANSFORMS.register_module()
class LoadSealedImage(BaseTransform):
    """Read a sealed image, check it against the manifest of its data set, and set its frames.

    It takes the place of ``LoadImageFromFile`` and finds the manifest by itself, in the image's
    folder or one above. The file is read once: the bytes whose digest is checked are the very
    ones that are decoded. ``ori_shape`` becomes that of the plain image, which boxes and
    evaluation count in, and ``scale_factor`` leads from it to the image. Of shuffled images the
    holder of the key gets ``patch_order``.

    Required Keys:

    - img_path

    Added Keys:

    - img (np.uint8): (H, W, 3), BGR.
    - img_shape
    - ori_shape
    - scale_factor
    - homography_matrix
    - sealed (dict): ``scaled_shape`` (H, W) before mixing and padding, ``patch_size``, ``grid``.
    - patch_order (np.int64) (optional): (N, ); place k holds patch ``patch_order[k]``.

    Args:
        key_file (str, optional): Needed for shuffled images. If it is given, the manifest has to
            be signed by it, whatever the scheme.
        backend_args (dict, optional): ``dict(backend='fsspec', ...)`` with fsspec's storage options
            for images of a store; default: those of the data set.

    Raises:
        ManifestError: The file is not what was sealed, or there is no manifest, key, or right key.
    """

    reads_sealed = True

    def __init__(self, key_file: str | None = None, backend_args: dict | None = None) -> None:
        self.key = None if key_file is None else load_key(key_file)
        self.backend_args = backend_args
        self._checked: Manifest | None = None
        self._remote: dict[str, Manifest] = {}

    def check(self, manifest: Manifest) -> Key | None:
        """The key for the images of ``manifest``.

        Raises:
            ManifestError: Its images are shuffled and there is no key, or there is one that did
                not sign it.
        """
        if isinstance(manifest.root, RemotePath):
            self._remote[manifest.root.url] = manifest
        if self.key is not None and manifest is not self._checked:
            manifest.check_key(self.key)  # a key that is given means a manifest that it signed
            self._checked = manifest
        if manifest.sealed_metadata is not None and self.key is None:
            raise ManifestError(f'the metadata of {manifest.root} is sealed under the key of '
                                f'fingerprint {manifest.key["fingerprint"]}: give it with '
                                f"dict(type='{type(self).__name__}', key_file=...)")
        if not manifest.scheme.shuffles:
            return None
        if self.key is None:
            raise ManifestError(
                f'{manifest.root} is shuffled under the key of fingerprint '
                f'{manifest.key["fingerprint"]}: only its holder can train or evaluate a detector '
                f"on it. Give it with dict(type='{type(self).__name__}', key_file=...)")
        return self.key

    def transform(self, results: dict) -> dict:
        if not results.get('img_path'):
            raise ValueError(f'{type(self).__name__} needs the path of a sealed file: of an array '
                             'nobody can tell what was sealed')
        manifest, name = self._found(results['img_path'])
        key = self.check(manifest)
        image = _entry(manifest, name)
        img = manifest.decode(image)
        scheme, shape = manifest.scheme, img.shape
        factor = tuple(scale / scheme.grid for scale in image.scale_factor)
        results.update(
            img=img, ori_shape=image.plain[::-1], img_shape=shape[:2], scale_factor=factor,
            homography_matrix=np.diag([*factor, 1]).astype(np.float32),
            sealed=dict(scaled_shape=image.scaled[::-1], patch_size=scheme.patch_size,
                        grid=scheme.grid))
        if key is not None:
            results['patch_order'] = scheme.order(key, image.file, bytes.fromhex(image.nonce),
                                                  shape)
        return results

    def _found(self, path: str) -> tuple[Manifest, str]:
        """The manifest of the image at ``path``, and the image's name in it."""
        if not is_url(path):
            path = os.path.abspath(path)
            manifest = open_manifest(_find_root(Path(path).parent))
            return manifest, Path(path).relative_to(os.path.abspath(manifest.root)).as_posix()
        for root, manifest in self._remote.items():  # a store is not asked for each image
            if path.startswith(f'{root}/'):
                return manifest, path[len(root) + 1:]
        root = _find_root(as_place(path, self.backend_args).parents[0])
        self._remote[root.url] = open_manifest(root)
        return self._remote[root.url], path[len(root.url) + 1:]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(key={self.key and self.key.fingerprint})'


@TRANSFORMS.register_module()
class ReadSeal(LoadSealedImage):
    """``LoadSealedImage`` after a ``LoadImageFromFile``, as older configs have it.

    What was loaded before is read again, since only the bytes that are checked may be used: new
    configs name ``LoadSealedImage`` alone.
    """

    def transform(self, results: dict) -> dict:
        loaded = results['img'].shape[:2] if 'img' in results else None
        results = super().transform(results)
        if loaded not in (None, results['img_shape']):
            height, width = results['img_shape']
            raise ManifestError(f'{results["img_path"]} was loaded as {loaded[1]}x{loaded[0]} and '
                                f'is {width}x{height}: ReadSeal comes right after '
                                'LoadImageFromFile; LoadSealedImage takes the place of both')
        return results


def _entry(manifest: Manifest, name: str) -> SealedImage:
    if name not in manifest.by_file:
        raise ManifestError(f'{name} is not an image of the sealed data set {manifest.root}')
    return manifest.by_file[name]


@TRANSFORMS.register_module()
class LoadSealedAnnotations(LoadAnnotations):
    """``LoadAnnotations``, then from the plain frame into the image's, for training.

    Test pipelines use ``LoadAnnotations``, as results are scored in the plain frame.

    Required Keys: those of :class:`mmdet.datasets.transforms.LoadAnnotations`, and

    - scale_factor
    - sealed
    """

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        if 'sealed' not in results:
            raise ValueError('LoadSealedAnnotations needs LoadSealedImage before it')
        if self.with_seg:
            raise ValueError('segmentation maps are not sealed: with_seg must be False')
        results = super().transform(results)
        grid, scaled = results['sealed']['grid'], results['sealed']['scaled_shape']
        padded = tuple(length * grid for length in results['img_shape'])
        # The very steps of Resize and MixSubPatches, so that nothing differs from them.
        if results.get('gt_bboxes') is not None:
            boxes, plain = results['gt_bboxes'], results['ori_shape']
            boxes.rescale_((scaled[1] / plain[1], scaled[0] / plain[0]))
            boxes.clip_(scaled)
            boxes.rescale_((1 / grid, 1 / grid))
        if results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'].resize(scaled).pad(padded).resize(
                results['img_shape'])
        return results


@TRANSFORMS.register_module()
class PackSealedInputs(PackDetInputs):
    """``PackDetInputs`` that takes ``patch_order`` along, which a keyed detector needs.

    Args:
        meta_keys (Sequence[str]): As for ``PackDetInputs``.
    """

    def __init__(self, meta_keys: tuple[str, ...] = (
            'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
            'flip_direction')) -> None:
        super().__init__((*meta_keys, 'patch_order', 'sealed'))
