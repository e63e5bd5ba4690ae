"""Everything that MMDetection's registries, timm and torch can build by name from this project.

MMDetection imports this module by itself, see :mod:`mmppvit.compat.on_import`.
"""
from importlib.util import find_spec

import mmppvit.compat.check_stack
import mmppvit.compat.checkpoint_hook
import mmppvit.compat.coco_api
import mmppvit.datasets
import mmppvit.engine
import mmppvit.evaluation
import mmppvit.models
import mmppvit.visualization.sealed_visualizer

if find_spec('grpc'):  # pip install mmppvit[two-party]
    import mmppvit.two_party.remote_training  # noqa: F401
