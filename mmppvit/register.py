"""Everything that MMDetection's registries, timm and torch can build by name from this project.

MMDetection imports this module by itself, see :mod:`mmppvit.compat.on_import`.
"""
import mmppvit.compat.check_stack
import mmppvit.compat.checkpoint_hook
import mmppvit.compat.coco_api
import mmppvit.datasets
import mmppvit.engine
import mmppvit.evaluation
import mmppvit.models
import mmppvit.visualization.sealed_visualizer  # noqa: F401
