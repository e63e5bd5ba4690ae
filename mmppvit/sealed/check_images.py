"""A COCO json together with its images, checked."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmppvit.annotations import CheckReport, check_file
from mmppvit.sealed.source_reader import SourceReader
from mmppvit.sealed.sources import read_sources

__all__ = ['check_with_images']


def check_with_images(ann_file: Path, img_dir: Path | None = None,
                      progress: Callable[[int, int], None] = lambda done, total: None
                      ) -> CheckReport:
    """Everything that is wrong with a json, and with its images if their folder is given.

    Raises:
        FileNotFoundError: There is no such json or folder.
    """
    report = check_file(ann_file)
    if img_dir is None or report.refused:
        return report
    try:
        sources = read_sources(img_dir, ann_file)[0]
    except FileNotFoundError:
        raise
    except ValueError as err:
        report.refuse('name of an image that is no file', str(err))
        return report
    reader = SourceReader(img_dir, ann_file)
    for count, source in enumerate(sources, 1):
        try:
            for remark in reader.read(source).remarks:
                report.note('image that is read with a remark', f'{source.name}: {remark}')
        except FileNotFoundError:
            report.refuse('image that is not there', source.name)
        except OSError as err:
            report.refuse('image that cannot be read', f'{source.name}: {err}')
        except ValueError as err:
            report.refuse('image that its boxes do not fit', f'{source.name}: {err}')
        progress(count, len(sources))
    return report
