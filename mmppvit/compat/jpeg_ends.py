"""JPEGs that lack nothing but their end marker, for MMCV with OpenCV 5, which refuses them.

OpenCV 4 decodes them, and sealing reads them: all pixels are there.
"""
from __future__ import annotations

import sys
from functools import wraps
from types import ModuleType

__all__ = ['let_it_read_jpegs_without_end']


def let_it_read_jpegs_without_end(module: ModuleType) -> None:
    """Wrap ``imfrombytes`` of ``mmcv.image.io``; once."""
    stock = module.imfrombytes
    if hasattr(stock, 'stock'):
        return

    @wraps(stock)
    def imfrombytes(content, *args, **kwargs):
        from mmppvit.sealed.jpeg_warnings import with_end
        return stock(with_end(content), *args, **kwargs)

    imfrombytes.stock = stock
    for name in (module.__name__, 'mmcv.image', 'mmcv'):  # which have it if they came first
        holder = sys.modules.get(name)
        if getattr(holder, 'imfrombytes', None) is stock:
            holder.imfrombytes = imfrombytes
