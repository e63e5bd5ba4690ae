"""Sealed data sets: encrypted images, COCO json and a manifest in one folder."""
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    MANIFEST,
    Manifest,
    ManifestError,
    SealedImage,
    image_folder,
)
from mmppvit.sealed.pack import pack_dataset
from mmppvit.sealed.plain_images import PlainImage, check_readable, read_plain
from mmppvit.sealed.restore import check_restorable, restore_dataset
from mmppvit.sealed.verify import VerifyReport, check_sealed, verify_sealed
from mmppvit.sealed.writer import seal_dataset

__all__ = [
    'ANNOTATIONS', 'MANIFEST', 'Manifest', 'ManifestError', 'PlainImage', 'SealJob', 'SealReport',
    'SealedImage', 'VerifyReport', 'check_readable', 'check_restorable', 'check_sealed',
    'image_folder', 'pack_dataset', 'read_plain', 'restore_dataset', 'seal_dataset', 'verify_sealed'
]
