"""Sealed data sets: encrypted pictures, COCO json and a manifest in one folder."""
from mmppvit.sealed.job import SealJob, SealReport
from mmppvit.sealed.manifest import (
    ANNOTATIONS,
    MANIFEST,
    Manifest,
    ManifestError,
    SealedPicture,
    image_folder,
)
from mmppvit.sealed.pictures import check_complete
from mmppvit.sealed.restore import check_restorable, restore_dataset
from mmppvit.sealed.verify import verify_sealed
from mmppvit.sealed.writer import seal_dataset

__all__ = [
    'ANNOTATIONS', 'MANIFEST', 'Manifest', 'ManifestError', 'SealJob', 'SealReport',
    'SealedPicture', 'check_complete', 'check_restorable', 'image_folder', 'restore_dataset',
    'seal_dataset', 'verify_sealed'
]
