"""DistributedDataParallel for a detector whose backbone is elsewhere."""
from __future__ import annotations

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn

from mmppvit.two_party.remote_pevit import RemotePEViT

__all__ = ['RemoteDataParallel']


@MODEL_WRAPPERS.register_module()
class RemoteDataParallel(MMDistributedDataParallel):
    """Averages the gradients of neck and head; the hosts average those of the backbone.

    Each process has a process of the host, on the port of ``backbone.host`` plus its rank.

    Args:
        module (Module): A detector with a :class:`RemotePEViT`, or any other.
        **kwargs: As for MMDistributedDataParallel.
    """

    def __init__(self, module: nn.Module, **kwargs) -> None:
        backbone = getattr(module, 'backbone', None)
        if isinstance(backbone, RemotePEViT):
            module._ddp_params_and_buffers_to_ignore = [
                f'backbone.{name}' for name, _ in backbone.named_parameters()]
        if not torch.cuda.is_available():
            kwargs['device_ids'] = None  # MMEngine names one
        super().__init__(module=module, **kwargs)
