"""Errors that the user of a command can correct."""
from __future__ import annotations

from importlib.util import find_spec

__all__ = ['EXTRAS', 'RunError', 'UserError', 'need_packages']

# Module -> extra of this package that installs it.
EXTRAS = dict(
    torch='mmdet', torchvision='mmdet', mmengine='mmdet', mmdet='mmdet', timm='mmdet',
    pycocotools='mmdet', safetensors='mmdet', mmcv='mmdet,lite', skimage='attacks',
    scipy='attacks', jinja2='attacks', matplotlib='attacks', onnx='onnx', onnxruntime='onnx',
    grpc='two-party', supervision='formats', rapidocr_onnxruntime='judges', rapidfuzz='judges',
    sklearn='attacks', dlib='judges', face_recognition_models='judges',
    fsspec='remote', s3fs='remote', distributed='dask', ray='ray')


class UserError(ValueError):
    """Wrong input. The message is one line that names the remedy; the command line prints it.

    Commands treat every ``ValueError`` and ``OSError`` that this project raises by a ``raise`` of
    its own in this way, too; this class is for errors of other kinds.
    """


class RunError(UserError, RuntimeError):
    """The same where no argument is wrong: memory ran out, a training diverged, a package lacks."""


def need_packages(*names: str) -> None:
    """Refuse to go on without packages that an extra installs.

    Args:
        names (str): Top-level modules.

    Raises:
        UserError: One of them is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise UserError(f'{name} is not installed: pip install "mmppvit[{EXTRAS[name]}]"')
