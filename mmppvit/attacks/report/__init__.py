from mmppvit.attacks.report.build import build_report, image_rows
from mmppvit.attacks.report.page import ImageRow, write_page
from mmppvit.attacks.report.verdict import verdict

__all__ = ['ImageRow', 'build_report', 'image_rows', 'verdict', 'write_page']
