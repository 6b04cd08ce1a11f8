"""The optimiser: Muon for the matrices inside a network, AdamW for everything else.

Muon reaches a given loss in far fewer pictures than AdamW alone, and pictures are what a laptop is short of.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def orthogonalise(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The nearest (semi-)orthogonal matrices to (K, M, N), roughly, by a quintic Newton-Schulz iteration in bfloat16.

    Coefficients: Keller Jordan, "Muon: an optimizer for hidden layers in neural networks", 2024.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: torch.Tensor = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Kernels (O, I, h, w) are treated as (O, I * h * w) matrices.

    The step is scaled so that its root mean square is 0.2 x the learning rate, which is AdamW's usual: one rate
    serves both (Moonshot AI, "Muon is scalable for LLM training", 2025).
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault(tuple(p.shape), []).append(p)
            for members in alike.values():  # matrices of one shape together: on a GPU, a tenth of the launches
                self._step_alike(members, **{name: group[name] for name in ("lr", "momentum", "weight_decay")})

    def _step_alike(self, members: list[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        grads = [p.grad for p in members if p.grad is not None]
        memories = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in members]
        torch._foreach_lerp_(memories, grads, 1 - momentum)
        flat = torch.stack([g.lerp(m, momentum).flatten(1) for g, m in zip(grads, memories, strict=True)])
        updates = orthogonalise(flat).to(members[0].dtype)
        for p, update in zip(members, updates, strict=True):
            p.mul_(1 - lr * weight_decay)
            p.add_(update.view_as(p), alpha=-0.2 * lr * max(flat.shape[1:]) ** 0.5)


class Optimiser:
    """Muon for `matrices` and AdamW for `others`, each at its own peak rate, saved and loaded together."""

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[nn.Parameter],
        lr: float,
        other_lr: float | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = [*matrices, *others]
        self.peaks = (lr, lr if other_lr is None else other_lr)
        self.parts: list[torch.optim.Optimizer] = [
            Muon(matrices, self.peaks[0], weight_decay=weight_decay),
            torch.optim.AdamW(others, self.peaks[1], betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        ]

    def step(self, rate: float) -> None:
        """One step at `rate` x the peak learning rates, gradients clipped to norm 1; clears the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for part, peak in zip(self.parts, self.peaks, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * peak
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """The state of both parts, for a checkpoint."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for part, entry in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(entry)


def split(module: nn.Module, ends: tuple[str, ...]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters for Muon and for AdamW. Vectors, and matrices whose name contains one of `ends`, go to AdamW."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        inner = parameter.ndim >= 2 and not any(end in name for end in ends)
        (matrices if inner else others).append(parameter)
    return matrices, others


def rate(progress: float, warmup: float = 0.02) -> float:
    """Learning rate, as a share of its peak, at `progress` 0..1: a short warm-up, a plateau, a straight line down."""
    return min(progress / warmup, 1.0, (1 - progress) / 0.6) if 0 <= progress < 1 else 0.0
