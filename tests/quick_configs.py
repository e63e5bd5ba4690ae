"""What MMEngine does with every config again, done once: it takes up to seconds a run.

It logs and dumps configs through yapf, of which tests do without: only the layout of the text
differs. To find an ``mmdet::`` base it parses all of MMDetection's metafiles; they are kept here,
also for the processes that are forked later. What was imported is left out of its garbage
collections, of which it makes one with every data set.
"""
from __future__ import annotations

import functools
import gc
from importlib.util import find_spec

from mmengine.config import config, utils

config.FormatCode = lambda text, **_: (text, True)
utils.load = functools.cache(utils.load)
utils._get_cfg_metainfo(*find_spec('mmdet').submodule_search_locations,
                        'retinanet/retinanet_r50_fpn_1x_coco.py')
gc.freeze()
