"""Sealed COCO data sets."""
from __future__ import annotations

import os
import random

from mmdet.registry import DATASETS

from mmppvit.annotations import CheckReport, checked_coco
from mmppvit.datasets.checked_coco import CheckedCocoDataset
from mmppvit.datasets.commuting import check_commutes
from mmppvit.datasets.transforms import LoadSealedImage, open_manifest
from mmppvit.sealed import ANNOTATIONS, Manifest, ManifestError, image_folder

__all__ = ['SealedCocoDataset']


@DATASETS.register_module()
class SealedCocoDataset(CheckedCocoDataset):
    """COCO data set that ``tools/encrypt_dataset.py`` sealed; the plain images are not needed.

    Boxes and evaluation stay in the plain frame. What does not fit is refused before training
    starts: a manifest, json or list of files that is not what was sealed, another key or none for
    shuffled images, augmentations that do not commute with the scheme. Every image is checked
    against its digest when it is read, by the pipeline's ``LoadSealedImage``.

    The json is read once: the bytes whose digest was checked are the ones that count. Where
    metadata is sealed, the key of ``LoadSealedImage`` opens it, in memory; evaluate with
    ``SealedCocoMetric`` then.

    Args:
        data_root (str): Folder of one or several sealed data sets, or its URL in a store that
            fsspec knows, such as 's3://bucket/sealed'.
        sealed (str): The sealed data set, a folder below ``data_root``.
        scale (str, optional): Of several sealed scales: 'WIDTHxHEIGHT', or 'random' for another
            one every time. Not needed where there is but one.
        expect (dict, optional): ``name``, ``role`` and ``at_least``, the lowest counter, that the
            manifest must have; they are signed if it is.
        **kwargs: As for :class:`mmdet.datasets.CocoDataset`, but ``ann_file`` and ``data_prefix``.
            ``backend_args=dict(backend='fsspec', ...)`` holds fsspec's storage options.
    """

    def __init__(self, *args, data_root: str = '', sealed: str = '', scale: str | None = None,
                 expect: dict | None = None, **kwargs) -> None:
        if args or {'ann_file', 'data_prefix'} & set(kwargs):
            raise TypeError('a sealed data set knows its own ann_file and data_prefix: give '
                            'data_root and sealed, by name')
        root = os.path.join(data_root, sealed)
        self.manifest = open_manifest(root, kwargs.get('backend_args'))
        self.manifest.check_identity(**(expect or {}))
        self.scale = scale
        index = _scale_index(self.manifest, scale)
        self._folders = [image_folder(self.manifest.scales, i)
                         for i in range(len(self.manifest.scales))]
        if not self.manifest.locked:  # the pipeline's key opens it later
            self.manifest.check_annotations()
        _check_files(self.manifest)
        self.manifest.fetch()
        super().__init__(data_root=root, ann_file=ANNOTATIONS,
                         data_prefix=dict(img=self._folders[index]), **kwargs)
        self._check_pipeline()

    def _join_prefix(self) -> None:
        """As MMEngine's, which takes no URLs of two stores such as 'simplecache::s3://...'."""
        self.ann_file = os.path.join(self.data_root, self.ann_file)
        self.data_prefix = {name: os.path.join(self.data_root, folder)
                            for name, folder in self.data_prefix.items()}

    def _check_pipeline(self) -> None:
        if self._loader().backend_args is None:
            self._loader().backend_args = self.backend_args
        self._loader().check(self.manifest)
        check_commutes(self.pipeline.transforms, self.manifest.scheme)

    def _parsed(self) -> tuple[dict, CheckReport]:
        """Of the manifest, which has checked it, or opens it with the pipeline's key."""
        self._loader().check(self.manifest)
        return checked_coco(self.manifest.read_annotations(), self.ann_file)

    def check_image(self, info: dict) -> None:
        """Nothing: ``LoadSealedImage`` looks at its digest, and its boxes are of another frame."""

    def _loader(self) -> LoadSealedImage:
        for step in self.pipeline.transforms:
            if isinstance(step, LoadSealedImage):
                return step
        raise ValueError("the pipeline has no dict(type='LoadSealedImage'), which reads and "
                         'checks sealed images: put it in place of LoadImageFromFile')

    def get_data_info(self, idx: int) -> dict:
        """As ``CocoDataset``'s; with ``scale='random'`` of a scale drawn anew."""
        info = super().get_data_info(idx)
        if self.scale == 'random':
            name = os.path.relpath(info['img_path'], self.data_prefix['img'])
            info['img_path'] = os.path.join(self.data_root, random.choice(self._folders), name)
        return info


def _scale_index(manifest: Manifest, scale: str | None) -> int:
    names = ['{}x{}'.format(*size) if size else 'as it is' for size in manifest.scales]
    if scale in names:
        return names.index(scale)
    if scale == 'random' or (scale is None and len(names) == 1):
        return 0
    raise ValueError(f'scale={scale!r}: {manifest.root} was sealed at {names}; choose one, or '
                     "'random'")


def _check_files(manifest: Manifest) -> None:
    """That every image is there with its size; its digest is looked at when it is read."""
    wrong = manifest.missing_files()
    if wrong:
        raise ManifestError(
            f'{len(wrong)} files of {manifest.root} are missing or not what was sealed, e.g. '
            f'{wrong[:3]}: restore them (mmppvit verify lists all)')
