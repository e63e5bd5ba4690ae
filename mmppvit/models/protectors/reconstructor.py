"""A network that learns to undo the protection beside it, and that the protector must beat."""
from __future__ import annotations

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

__all__ = ['AdversarialReconstructor']


@MODELS.register_module()
class AdversarialReconstructor(BaseModule):
    """One loss, minimized by the reconstructor and maximized by the protector.

    The loss is the mean absolute error of the restored image. Its gradient is reversed between
    the protected image and the reconstructor (Ganin and Lempitsky, 2015), so that one backward
    pass and one optimizer train both, with mixed precision and on several machines as well.

    The protector has won an image when the reconstructor is no better than its mean color:
    from there on that image pushes it no further, while the reconstructor keeps learning. So
    the game is bounded.

    Args:
        network (dict): A :class:`ProtectionUNet`; the light one by default.
        beta (float): Weight of the protector's part.
        margin (float): Where the protector's part ends, as a multiple of the error of the mean
            color.
        init_cfg (dict, optional): Initialization.
    """

    def __init__(self,
                 network: dict = dict(type='ProtectionUNet', arch='light'),
                 beta: float = 1.,
                 margin: float = 1.,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.network = MODELS.build(network)
        self.beta = beta
        self.margin = margin

    def forward(self, protected: Tensor, plain: Tensor) -> dict[str, Tensor]:
        """RGB of range 0 to 1, (B, 3, H, W) each -> what is summed and what is only logged.

        Returns:
            dict[str, Tensor]: ``loss_reconstructor``, and ``reconstruction_error``, which is 1
            where the reconstructor is no better than the mean color; float32 scalars.
        """
        seen = protected.clone()  # of its own, for the reversal to leave other losses alone
        if seen.requires_grad:
            seen.register_hook(lambda grad: -pushes.view(-1, 1, 1, 1) * grad)
        error = (self.network.protect(seen) - plain).abs().mean((1, 2, 3))
        flat = (plain - plain.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3)).clamp_min(1e-6)
        # Known only now, and read by the hook in the backward pass.
        pushes = self.beta * (error.detach() < self.margin * flat).float()
        return dict(loss_reconstructor=error.mean(),
                    reconstruction_error=(error.detach() / flat).mean())
