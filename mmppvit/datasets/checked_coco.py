"""COCO data sets that say what is wrong with them."""
from __future__ import annotations

import json

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.fileio import get_text

from mmppvit.sealed import check_complete

__all__ = ['CheckedCocoDataset']


@DATASETS.register_module()
class CheckedCocoDataset(CocoDataset):
    """``CocoDataset`` that stops at what ``CocoDataset`` passes over in silence.

    Classes of ``metainfo`` that do not fit the json, a data set with nothing left in it and an
    image that cannot be read whole each end in one error that names the remedy. Arguments are
    those of :class:`mmdet.datasets.CocoDataset`.
    """

    def load_data_list(self) -> list[dict]:
        """Read the json.

        Raises:
            FileNotFoundError: There is no such json.
            ValueError: The json is not COCO's, or its categories do not fit ``metainfo``.
        """
        categories = _read_categories(self.ann_file, self.backend_args)
        _check_classes(self.metainfo.get('classes', ()), categories, self.ann_file)
        return super().load_data_list()

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

    def prepare_data(self, idx: int) -> dict | None:
        """Pass image ``idx`` through the pipeline.

        Raises:
            OSError: The image is missing, truncated or not an image; its path is named.
        """
        path = self.get_data_info(idx)['img_path']
        try:
            if not self.backend_args:
                check_complete(path)
            return super().prepare_data(idx)
        except (OSError, AssertionError) as err:
            if isinstance(err, AssertionError) and 'failed to load image' not in str(err):
                raise  # of a later step, which has its own reasons
            raise OSError(f'{path} (listed in {self.ann_file}) cannot be used: {err}; restore '
                          'the file, or take it out of the json') from err


def _read_categories(ann_file: str, backend_args: dict | None) -> list[str]:
    try:
        content = json.loads(get_text(ann_file, backend_args=backend_args))
        for key in ('images', 'annotations'):
            content[key]
        return [category['name'] for category in content['categories']]
    except FileNotFoundError:
        raise FileNotFoundError(f'no annotation file {ann_file}: set data_root and ann_file to '
                                'where your COCO json lies') from None
    except (ValueError, KeyError, TypeError) as err:
        raise ValueError(
            f'{ann_file} is not a COCO annotation file with images, annotations and named '
            f'categories: {type(err).__name__} {err}') from err


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

