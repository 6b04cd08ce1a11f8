"""Attention as plain bfloat16 products: on a CPU, over some hundred tokens, thrice as quick to train as torch's own.

Torch's flash form has a slow backward pass there, and its mathematical form computes in float32. Only training uses
this; parameters are diffusers' own, and results differ by bfloat16's rounding.
"""

from typing import Any

import torch
from diffusers.models.transformers import transformer_flux2


def plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **_unused: Any) -> torch.Tensor:
    """Softmax attention of (B, S, heads, D) without a mask, laid out as diffusers' `dispatch_attention_fn` has it."""
    q, k, v = (x.transpose(1, 2) for x in (query * query.shape[-1] ** -0.5, key, value))  # (B, heads, S, D)
    return ((q @ k.mT).softmax(-1) @ v).transpose(1, 2)


def quicken_attention() -> None:
    """Let every FLUX.2 transformer of this process attend by `plain_attention`."""
    transformer_flux2.dispatch_attention_fn = plain_attention
