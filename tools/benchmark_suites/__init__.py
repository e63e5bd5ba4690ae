"""What ``tools/benchmark.py`` times."""
from mmppvit.compat.on_import import hook_into_imports

hook_into_imports()  # before anything of this package imports torchvision
