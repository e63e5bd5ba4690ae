from mmppvit.attacks.report.build import build_report, picture_rows
from mmppvit.attacks.report.page import PictureRow, write_page
from mmppvit.attacks.report.verdict import verdict

__all__ = ['PictureRow', 'build_report', 'picture_rows', 'verdict', 'write_page']
