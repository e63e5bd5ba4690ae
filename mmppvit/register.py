"""Everything that MMDetection's registries, timm and torch can build by name from this project.

MMDetection itself imports :mod:`mmppvit.register_names`, which imports this in parts, as far as a
config needs them. Import this module for timm's ``create_model``.
"""
from importlib.util import find_spec

import mmppvit.datasets.repeated_sampler
import mmppvit.engine
import mmppvit.models
import mmppvit.register_names

if find_spec('grpc'):  # pip install mmppvit[two-party]
    import mmppvit.two_party.remote_training  # noqa: F401
