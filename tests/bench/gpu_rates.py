"""How fast a GPU multiplies, attends and copies, as measured or as published, and what a picture should take on it.

A prediction is a sum, since kernels run one after the other:

    products in bf16 / rate + products in fp8 / fp8 rate + attention / its rate + bytes moved / bandwidth

but not less than kernels * `LAUNCH` where every one of them is launched from Python. From published peaks, the rates
are the `REACHED` shares of them; from measured rates, they are what the same run measured.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tests.bench.operations import Work

LAUNCH = 8e-6
"""Seconds that Python takes for one eager kernel (a rule of thumb; 5 to 10 µs are usual)."""


@dataclass(frozen=True)
class Peak:
    """Published figures of a device: dense operations a second with sums in fp32, bytes a second, bytes of memory."""

    bf16: float
    fp8: float | None
    bandwidth: float
    memory: float
    source: str


PEAKS = {
    "H100": Peak(989.4e12, 1978.9e12, 3.35e12, 80e9, "NVIDIA H100 Tensor Core GPU architecture, SXM5"),
    "H200": Peak(989.4e12, 1978.9e12, 4.8e12, 141e9, "NVIDIA H200 datasheet, SXM"),
    "B200": Peak(2250e12, 4500e12, 8.0e12, 180e9, "NVIDIA DGX B200 datasheet, an eighth, without sparsity"),
    "A100": Peak(312e12, None, 2.039e12, 80e9, "NVIDIA A100 datasheet, SXM 80 GB"),
    "L40S": Peak(362.05e12, 733e12, 0.864e12, 48e9, "NVIDIA L40S datasheet, without sparsity"),
    "RTX 4090": Peak(165.2e12, 330.3e12, 1.008e12, 24e9, "NVIDIA Ada GPU architecture, sums in fp32"),
    "RTX 5090": Peak(209.5e12, 419e12, 1.792e12, 32e9, "NVIDIA RTX Blackwell GPU architecture, sums in fp32"),
}


@dataclass(frozen=True)
class Rates:
    """Operations a second of large products in bf16 and fp8 (None: not in hardware) and of attention; bytes a second
    that a copy reads and writes."""

    bf16: float
    fp8: float | None
    attention: float
    bandwidth: float


REACHED = Rates(0.75, 0.65, 0.55, 0.85)
"""Shares of the published peaks that such kernels reach (of bf16's for attention): assumptions, made before anything
was measured."""


def reached(peak: Peak) -> Rates:
    """What a device of these peaks should reach."""
    return Rates(
        peak.bf16 * REACHED.bf16,
        peak.fp8 * REACHED.fp8 if peak.fp8 and REACHED.fp8 else None,
        peak.bf16 * REACHED.attention,
        peak.bandwidth * REACHED.bandwidth,
    )


def product_seconds(work: Work, rates: Rates, precision: str) -> float:
    """Seconds of a unit's products and attention if all ran at the rate of a large product: what achieved FLOP/s are
    held against. Without fp8 in hardware fp8 is multiplied in bf16; the units compute attention in bf16 always."""
    blocks = rates.fp8 if precision == "fp8" and rates.fp8 else rates.bf16
    return work.blocks / blocks + (work.others + work.attention) / rates.bf16


def predicted_seconds(work: Work, rates: Rates, precision: str, compiled: bool) -> float:
    """Seconds that denoising a unit should take."""
    attention = work.attention * (1 / rates.attention - 1 / rates.bf16)
    moved = work.compiled_bytes if compiled else work.eager_bytes
    computed = product_seconds(work, rates, precision) + attention + moved / rates.bandwidth
    return computed if compiled else max(computed, work.eager_kernels * LAUNCH)


def measured_rates(device: torch.device, side: int, tokens: int, seconds: float = 0.5) -> Rates:
    """The rates of this device: products of side³, attention of 24 heads over `tokens`, a copy of 16 side² numbers."""
    dtype = torch.bfloat16
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    bf16 = 2.0 * side**3 / sustained(lambda: left @ right, device, seconds)
    queries = torch.randn(1, 24, tokens, 128, device=device, dtype=dtype)
    attend = torch.nn.functional.scaled_dot_product_attention
    attention = 4.0 * 24 * 128 * tokens**2 / sustained(lambda: attend(queries, queries, queries), device, seconds)
    source = torch.randn(16, side, side, device=device, dtype=dtype)
    target = torch.empty_like(source)
    copied = 2.0 * source.nbytes / sustained(lambda: target.copy_(source), device, seconds)
    return Rates(bf16, _fp8_rate(left, right, device, seconds), attention, copied)


def _fp8_rate(left: torch.Tensor, right: torch.Tensor, device: torch.device, seconds: float) -> float | None:
    """Of scaled products with a scale for each row, as torchao multiplies; None where device or build have none."""
    from pressrun.pipeline.models.quantisation import has_fp8

    if not has_fp8(device):
        return None
    side = len(left)
    rows, columns = (torch.ones(*shape, device=device) for shape in ((side, 1), (1, side)))
    one, other = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn).t()

    def multiply() -> torch.Tensor:
        return torch._scaled_mm(
            one, other, scale_a=rows, scale_b=columns, out_dtype=torch.bfloat16, use_fast_accum=True
        )

    try:
        return 2.0 * side**3 / sustained(multiply, device, seconds)
    except (RuntimeError, NotImplementedError):
        return None


def sustained(work: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """Seconds of one call among many that follow each other without a wait, for at least `seconds`."""
    for _ in range(3):
        work()
    calls = 4
    while True:
        synchronise(device)
        started = time.perf_counter()
        for _ in range(calls):
            work()
        synchronise(device)
        taken = time.perf_counter() - started
        if taken >= seconds:
            return taken / calls
        calls = max(calls + 1, int(calls * min(10.0, 1.2 * seconds / max(taken, 1e-6))))


def synchronise(device: torch.device) -> None:
    """Wait for whatever the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
