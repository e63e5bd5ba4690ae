"""COCO annotations: read in any encoding, checked once, corrected where that is safe."""
from mmppvit.annotations.checked_file import (
    AnnotationError,
    check_file,
    checked_coco,
    file_digest,
    parse_coco,
    read_coco,
    stream_coco,
)
from mmppvit.annotations.coco_check import check_coco
from mmppvit.annotations.findings import CheckReport, Finding

__all__ = [
    'AnnotationError', 'CheckReport', 'Finding', 'check_coco', 'check_file', 'checked_coco',
    'file_digest', 'parse_coco', 'read_coco', 'stream_coco'
]
