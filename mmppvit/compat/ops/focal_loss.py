"""Focal losses, as mmcv's CUDA kernels compute them.

The kernels are element-wise and write into a given tensor. ``target`` holds class indices; in the
sigmoid loss any other value, such as the number of classes, is the background. The logarithm is
taken of the sigmoid as a whole, so that it stays exact where mmcv's is cut at the smallest float.
"""
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .precision import exact, without_autocast

__all__ = ['sigmoid_focal_loss_backward', 'sigmoid_focal_loss_forward',
           'softmax_focal_loss_backward', 'softmax_focal_loss_forward']


@without_autocast
def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Write the loss of every logit.

    Args:
        input (Tensor): (N, C) logits.
        target (Tensor): (N, ) int64 class indices.
        weight (Tensor): (C, ) weight of each class, or empty. The background weighs 1.
        output (Tensor): (N, C), overwritten.
        gamma (float): The focusing exponent.
        alpha (float): The weight of positives; negatives weigh ``1 - alpha``.
    """
    logits = exact(input)
    log_p, log_q = logsigmoid(logits), logsigmoid(-logits)
    positive = -alpha * (gamma * log_q).exp() * log_p
    negative = -(1 - alpha) * (gamma * log_p).exp() * log_q
    output.copy_(_choose(positive, negative, target, weight))


@without_autocast
def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """Write the derivative of each element's loss by its logit into ``grad_input`` (N, C)."""
    logits = exact(input)
    log_p, log_q = logsigmoid(logits), logsigmoid(-logits)
    p, q = log_p.exp(), log_q.exp()
    positive = -alpha * (gamma * log_q).exp() * (q - gamma * p * log_p)
    negative = -(1 - alpha) * (gamma * log_p).exp() * (gamma * q * log_q - p)
    grad_input.copy_(_choose(positive, negative, target, weight))


def _choose(positive: Tensor, negative: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Take ``positive`` in the target's column, weighted by the target's class."""
    classes = positive.size(1)
    chosen = torch.where(
        target[:, None] == torch.arange(classes, device=target.device), positive, negative)
    if weight.numel():
        weight = torch.cat([weight.to(chosen), chosen.new_ones(1)])
        named = (target >= 0) & (target < classes)
        chosen = chosen * weight[torch.where(named, target, classes)][:, None]
    return chosen


@without_autocast
def softmax_focal_loss_forward(softmax: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Write the loss of every row.

    Args:
        softmax (Tensor): (N, C) probabilities.
        target (Tensor): (N, ) int64 class indices; the loss of a negative one is 0.
        weight (Tensor): (C, ) weight of each class, or empty.
        output (Tensor): (N, ), overwritten.
        gamma (float): The focusing exponent.
        alpha (float): A factor.
    """
    p, factor = _target_probability(softmax, target, weight)
    output.copy_(-alpha * factor * (1 - p).pow(gamma) * _log(p))


@without_autocast
def softmax_focal_loss_backward(softmax: Tensor, target: Tensor, weight: Tensor, buff: Tensor,
                                grad_input: Tensor, gamma: float, alpha: float) -> None:
    """Write each row's derivative by its logits into ``grad_input`` (N, C).

    ``buff`` (N, ) receives the derivative by the target's probability, times that probability.
    """
    p, factor = _target_probability(softmax, target, weight)
    q = 1 - p
    slope = alpha * factor * (gamma * q.pow(gamma - 1) * p * _log(p) - q.pow(gamma))
    buff.copy_(slope)
    is_target = target[:, None] == torch.arange(softmax.size(1), device=target.device)
    grad_input.copy_(slope[:, None] * (is_target.to(slope) - exact(softmax)))


def _target_probability(softmax: Tensor, target: Tensor, weight: Tensor) -> tuple:
    """The target's probability (N, ) and its factor (N, ), 0 for a negative target."""
    index = target.clamp(min=0)
    p = exact(softmax).gather(1, index[:, None])[:, 0]
    factor = (target >= 0).to(p)
    return p, factor * weight.to(p)[index] if weight.numel() else factor


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=torch.finfo(torch.float32).tiny).log()
