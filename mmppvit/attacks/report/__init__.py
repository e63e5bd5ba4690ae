from mmppvit.attacks.report.build import build_report, image_rows
from mmppvit.attacks.report.crops import Crop, CropGroup, crop_groups
from mmppvit.attacks.report.handout import handout
from mmppvit.attacks.report.page import ImageRow, write_page
from mmppvit.attacks.report.verdict import verdict

__all__ = ['Crop', 'CropGroup', 'ImageRow', 'build_report', 'crop_groups', 'handout', 'image_rows',
           'verdict', 'write_page']
