"""What the backbones here have in common for MMDetection."""
from __future__ import annotations

from mmengine.model import BaseModule

from mmppvit.models.checkpoints import load_pretrained

__all__ = ['ViTBackbone']


class ViTBackbone(BaseModule):
    """A plain vision transformer with ``patch_embed``, ``blocks`` and ``norm``.

    ``init_cfg=dict(type='Pretrained', checkpoint=FILE)`` loads FILE by
    :func:`mmppvit.models.checkpoints.load_pretrained`, which accounts for every tensor.
    """
    num_layers: int
    # Whether shuffling the patches of the input shuffles the cells of the output and nothing else.
    position_free: bool = False

    @property
    def token_stride(self) -> int:
        """Pixels of the mixed image per patch token."""
        return self.patch_embed.stride

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``, once and with a printed account of every tensor."""
        if not isinstance(self.init_cfg, dict) or self.init_cfg.get('type') != 'Pretrained':
            if self.init_cfg:
                super().init_weights()
        elif not self.is_init:
            load_pretrained(self, **_load_options(self.init_cfg))
            self.is_init = True

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay.

        Args:
            param_name (str): Full name of the parameter.
            prefix (str): The part of the name up to this backbone, ``'backbone.'`` in detectors.

        Returns:
            tuple[int, int]: Its depth, 0 for the embedding, tokens and positions to
            ``num_layers + 1`` for what follows the last block, and the number of depths.
        """
        num_depths = self.num_layers + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or name.startswith('norm.'):
            return num_depths - 1, num_depths
        if name.startswith('blocks.'):
            return int(name.split('.')[1]) + 1, num_depths
        return 0, num_depths


def _load_options(init_cfg: dict) -> dict:
    """Arguments of :func:`load_pretrained`; ``map_location`` has no meaning, as it copies."""
    options = {key: value for key, value in init_cfg.items() if key not in ('type', 'map_location')}
    unknown = sorted(set(options) - {'checkpoint', 'prefix', 'allow_partial', 'kernel'})
    if unknown or not options.get('checkpoint'):
        raise ValueError(f'init_cfg of type Pretrained takes checkpoint, prefix, kernel, '
                         f'map_location and allow_partial; got {unknown or "no checkpoint"}')
    return options
