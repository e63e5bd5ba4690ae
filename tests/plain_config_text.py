"""MMEngine logs and dumps every config through yapf, up to seconds a run; tests do without.

Only the layout of the text differs.
"""
from __future__ import annotations

from mmengine.config import config

config.FormatCode = lambda text, **_: (text, True)
