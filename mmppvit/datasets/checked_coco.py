"""COCO data sets that say what is wrong with them."""
from __future__ import annotations

import logging
import os
import os.path as osp
from functools import cached_property

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.fileio import get
from mmengine.logging import print_log

from mmppvit.annotations import CheckReport, parse_coco
from mmppvit.annotations.image_frame import JsonFrame, read_frame
from mmppvit.annotations.image_names import file_of
from mmppvit.compat.coco_api import index_coco
from mmppvit.sealed import check_readable
from mmppvit.utils.regular_files import read_regular
from mmppvit.utils.remote_files import is_url

__all__ = ['CheckedCocoDataset']


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """``CocoDataset`` that stops at what ``CocoDataset`` passes over in silence.

    The json is checked and corrected by :func:`mmppvit.annotations.check_coco`. Classes of
    ``metainfo`` that do not fit it, a data set with nothing left in it, an image that cannot be
    read whole, and boxes that were drawn for another size or before the EXIF turn of an image each
    end in one error that names the remedy. Arguments are those of
    :class:`mmdet.datasets.CocoDataset`.
    """

    @cached_property
    def _good(self) -> dict[str, tuple[int, ...]]:
        """Files that were found good, and what they were then."""
        return {}

    def load_data_list(self) -> list[dict]:
        """Read the json.

        Raises:
            FileNotFoundError: There is no such json.
            AnnotationError: It cannot be used; every kind of fault is named.
            ValueError: Its categories do not fit ``metainfo``.
        """
        data, report = self._parsed()
        if report.remarks():
            print_log(report.remarks(), logger='current', level=logging.WARNING)
        categories = [item['name'] for item in data['categories']]
        _check_classes(self.metainfo.get('classes', ()), categories, self.ann_file)
        self.COCOAPI = lambda _: index_coco(data)  # not read again, and as corrected
        kept = self.ann_file, self.backend_args
        if is_url(self.ann_file):  # nor downloaded again
            self.ann_file, self.backend_args = osp.basename(self.ann_file), None
        try:
            return super().load_data_list()
        finally:
            self.ann_file, self.backend_args = kept
            del self.COCOAPI

    def _parsed(self) -> tuple[dict, CheckReport]:
        return parse_coco(_content(self.ann_file, self.backend_args), self.ann_file)

    def filter_data(self) -> list[dict]:
        """Images that pass ``filter_cfg``.

        Raises:
            ValueError: None does.
        """
        kept = super().filter_data()
        if not kept:
            boxes = sum(len(info['instances']) for info in self.data_list)
            raise ValueError(
                f'{self.ann_file} leaves no image to use: it lists {len(self.data_list)} images '
                f'with {boxes} usable boxes, and filter_cfg={self.filter_cfg} keeps none of them; '
                'check the json, or relax filter_cfg')
        return kept

    def get_data_info(self, idx: int) -> dict:
        """As ``CocoDataset``'s; the path is of the file that the json means by its name."""
        info = super().get_data_info(idx)
        folder = self.data_prefix.get('img', '')
        if self._is_local(info) and not osp.isfile(info['img_path']):
            # Joined to an absolute name, the folder is gone; relpath gives the name back.
            name = info['img_path'] if osp.isabs(folder) and not info['img_path'].startswith(
                osp.join(folder, '')) else osp.relpath(info['img_path'], folder or '.')
            found = file_of(folder or '.', name)
            if found is not None:
                info['img_path'] = osp.join(folder, found)
        return info

    def _is_local(self, info: dict) -> bool:
        return not self.backend_args and not is_url(info['img_path'])

    def prepare_data(self, idx: int) -> dict | None:
        """Pass image ``idx`` through the pipeline.

        Raises:
            OSError: The image is missing, truncated, not an image, or not of the size of its boxes;
                its path is named.
        """
        info = self.get_data_info(idx)
        self.check_image(info)
        try:
            return super().prepare_data(idx)
        except (OSError, AssertionError) as err:
            if isinstance(err, AssertionError) and 'failed to load image' not in str(err):
                raise  # of a later step, which has its own reasons
            raise self._unusable(info, err) from err

    def check_image(self, info: dict) -> None:
        """Raise OSError unless the file is whole and its boxes fit it.

        A file that this process has found good is not read again as long as its size and times
        stay the same.

        Args:
            info (dict): What :meth:`get_data_info` says of it. Only local files are checked.
        """
        if not self._is_local(info):
            return
        try:
            state = *_state(info['img_path']), info['width'], info['height']
            if self._good.get(info['img_path']) != state:
                self._check_file(info['img_path'], info)
                self._good[info['img_path']] = state
        except OSError as err:
            raise self._unusable(info, err) from err

    def _unusable(self, info: dict, err: Exception) -> OSError:
        return OSError(f'{info["img_path"]} (listed in {self.ann_file}) cannot be used: {err}; '
                       'restore the file, or take it out of the json')

    def _check_file(self, path: str, info: dict) -> None:
        check_readable(path)
        if not hasattr(self, '_json_frame'):
            self._json_frame = JsonFrame(lambda: (
                (other['img_path'], (other['width'], other['height']))
                for other in map(self.get_data_info, range(len(self)))))
        problem = self._json_frame.problem((info['width'], info['height']), read_frame(path))
        if problem is not None:
            raise OSError(problem)


def _state(path: str) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _content(ann_file: str, backend_args: dict | None) -> bytes:
    try:
        if not backend_args and not is_url(ann_file):
            return read_regular(ann_file)  # a pipe would be waited for
        return get(ann_file, backend_args=backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'no annotation file {ann_file}: set data_root and ann_file to '
                                'where your COCO json lies') from None


def _check_classes(classes: tuple[str, ...], categories: list[str], ann_file: str) -> None:
    """Classes must be among the categories, and in their order.

    MMDetection numbers labels in the order of the json whatever the order of ``classes``, so in
    another order every class would be shown under another one's name.
    """
    if isinstance(classes, str):
        raise ValueError(f'metainfo.classes is the string {classes!r}; write ({classes!r}, )')
    both = f'metainfo.classes is {list(classes)}, {ann_file} has {categories}'
    missing = [name for name in classes if name not in categories]
    if missing or not classes:
        raise ValueError(f'the classes {missing} are not in the json: {both}. Set '
                         'metainfo=dict(classes=(...)) to names of the json')
    in_json_order = [name for name in categories if name in classes]
    if in_json_order != list(classes):
        raise ValueError(f'the classes are in another order than in the json: {both}. Write them '
                         f'as {tuple(in_json_order)}')
