"""Sealed data sets: encrypted images, COCO json and a manifest in one folder."""
from mmppvit.sealed.image_files import check_complete
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    MANIFEST,
    Manifest,
    ManifestError,
    SealedImage,
    image_folder,
)
from mmppvit.sealed.restore import check_restorable, restore_dataset
from mmppvit.sealed.verify import verify_sealed
from mmppvit.sealed.writer import seal_dataset

__all__ = [
    'ANNOTATIONS', 'MANIFEST', 'Manifest', 'ManifestError', 'SealJob', 'SealReport',
    'SealedImage', 'check_complete', 'check_restorable', 'image_folder', 'restore_dataset',
    'seal_dataset', 'verify_sealed'
]
