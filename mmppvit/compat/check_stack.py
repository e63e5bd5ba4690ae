"""Importing this module refuses versions that are too old, before they fail obscurely."""
from .versions import check_versions

check_versions()
