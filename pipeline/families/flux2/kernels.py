"""Which kernels a GPU computes a transformer's blocks with.

Attention: where there are several implementations PyTorch takes the first of a list that can, and the list is ours.
Everything else: as PyTorch launches it, operation by operation, or compiled block by block, so that chains of
operations are one kernel. Both are settled for a device and a run, never by what stands beside a row: other kernels
may round otherwise.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

SHAPES = 256
"""Shapes of one process that blocks are compiled for; beyond them PyTorch would silently go on without."""


def attention_order(capability: tuple[int, int]) -> list[SDPBackend] | None:
    """What a GPU of this compute capability attends with, the first that can; None leaves it to PyTorch.

    On Hopper and on Blackwell in data centres cuDNN's kernels are up to 1.75 x as fast as PyTorch's own, which were
    written for Ampere (release notes of PyTorch 2.5), and PyTorch does not take them by itself.
    """
    if capability[0] not in (9, 10):
        return None
    return [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]


def best_attention(device: torch.device) -> AbstractContextManager[None]:
    """Within it, attention is computed by the best kernels that the device has."""
    order = attention_order(torch.cuda.get_device_capability(device)) if device.type == "cuda" else None
    return sdpa_kernel(order, set_priority=True) if order else nullcontext()


def compile_blocks(network: Any, backend: str | Callable[..., Any] = "inductor") -> None:
    """Have the repeated blocks of one of diffusers' networks compiled, each kind of them once for every shape that
    comes (regional compilation); that happens in a shape's first pass.

    Shapes are static: what is compiled for a shape must not depend on which shapes came before. No kernel is chosen by
    trying which is faster where that would change the order of a sum.
    """
    torch._inductor.config.deterministic = True
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    network.compile_repeated_blocks(fullgraph=True, dynamic=False, backend=backend)
