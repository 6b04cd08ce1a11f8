"""Group normalisation with a quicker backward pass: on a CPU, torch's own takes two fifths of the autoencoder's step.

Only training uses it, and only its gradients are computed differently; parameters and results are torch's.
"""

from typing import Any

import torch
from torch import nn


class _GroupNorm(torch.autograd.Function):
    """y = (x - mean) / std * weight + bias over groups of channels, as one scale and one shift per channel."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float
    ) -> torch.Tensor:
        b, c, h, w = x.shape
        count = c // groups * h * w
        total = x.sum((2, 3), dtype=torch.float32).view(b, groups, -1)  # (B, G, C / G)
        square = (x * x).sum((2, 3), dtype=torch.float32).view(b, groups, -1)
        mean = total.sum(-1, keepdim=True) / count  # (B, G, 1)
        rstd = (square.sum(-1, keepdim=True) / count - mean * mean).clamp_min(0).add(eps).rsqrt()
        scale = rstd * weight.float().view(1, groups, -1)
        shift = bias.float().view(1, groups, -1) - mean * scale
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.groups = groups
        return torch.addcmul(_maps(shift, x), x, _maps(scale, x))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (dy,) = gradients
        x, weight, mean, rstd = ctx.saved_tensors
        b, c, h, w = x.shape
        groups, count = ctx.groups, c // ctx.groups * h * w
        dy_sum = dy.sum((2, 3), dtype=torch.float32).view(b, groups, -1)
        dyx_sum = (dy * x).sum((2, 3), dtype=torch.float32).view(b, groups, -1)
        normed = (dyx_sum - mean * dy_sum) * rstd  # sum of dy * x_hat, per channel
        gain = weight.float().view(1, groups, -1)
        # dx = rstd * (dy * gain - mean(dy * gain) - x_hat * mean(dy * gain * x_hat)), regrouped by dy, x and 1
        first = (gain * dy_sum).sum(-1, keepdim=True) / count
        second = (gain * normed).sum(-1, keepdim=True) / count
        of_dy, of_x = rstd * gain, -rstd * rstd * second
        rest = -rstd * first - of_x * mean
        dx = torch.addcmul(_maps(rest.expand_as(of_dy), x), dy, _maps(of_dy, x)).addcmul_(
            x, _maps(of_x.expand_as(of_dy), x)
        )
        return dx, normed.sum(0).flatten().to(weight.dtype), dy_sum.sum(0).flatten().to(weight.dtype), None, None


def _maps(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(B, G, C / G) -> (B, C, 1, 1) in the dtype of `like`."""
    return values.reshape(like.shape[0], like.shape[1], 1, 1).to(like.dtype)


class QuickGroupNorm(nn.GroupNorm):
    """A drop-in for `torch.nn.GroupNorm` on pictures (B, C, H, W)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = _GroupNorm.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.num_groups, self.eps
        )
        return normed


def quicken(module: nn.Module) -> None:
    """Turn every group normalisation inside `module` into the quicker one, in place; weights stay where they are."""
    for part in module.modules():
        if type(part) is nn.GroupNorm:
            part.__class__ = QuickGroupNorm
