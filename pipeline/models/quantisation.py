"""Matrices in eight bits, by torchao: how they are made, and which products a device has for them.

A GPU with eight-bit floating-point units (compute capability 8.9 and up: Ada, Hopper, Blackwell) multiplies fp8 with
fp8: a row of what comes in is scaled by its own largest number, so that rows do not depend on each other. Elsewhere
eight bits are storage: a matrix is unpacked for its product, which is computed in bf16.
"""

import logging
from importlib.metadata import version
from typing import Any

import torch

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.precision import SCALE_BYTES, precision_problem

FP8_CAPABILITY = (8, 9)
_UNITS = 16
"""Sides of a matrix that fp8 units take are multiples of this."""


def quantise(weight: torch.Tensor, precision: str) -> torch.Tensor:
    """A matrix (rows, columns) in bf16 as `precision` holds it, on the device where it is.

    What comes out depends on this matrix alone. Raises JobError where torchao is missing.
    """
    if problem := precision_problem(precision):
        raise JobError(problem, code="bad_option")
    logging.getLogger("torchao").setLevel(logging.ERROR)  # it tells of each of its libraries that has no use here
    from torchao.quantization import quantize_

    holder = torch.nn.Linear(1, 1, bias=False, device="meta")
    holder.weight = torch.nn.Parameter(weight, requires_grad=False)
    fast = has_fp8(weight.device) and all(side % _UNITS == 0 for side in weight.shape)
    quantize_(holder, _recipe(precision, fast))
    return holder.weight


def _recipe(precision: str, fast: bool) -> Any:
    """torchao's configuration; `fast` is whether the matrix is multiplied by fp8 units.

    None of them may turn process-wide knobs of the compiler, and which kernel is taken does not depend on whether
    some other package happens to be installed.
    """
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Float8WeightOnlyConfig,
        Int8WeightOnlyConfig,
        PerRow,
    )
    from torchao.quantization.quantize_.common import KernelPreference

    alike: dict[str, Any] = {"granularity": PerRow(), "set_inductor_config": False}
    if precision == "int8":
        return Int8WeightOnlyConfig(**alike)
    if fast:
        return Float8DynamicActivationFloat8WeightConfig(kernel_preference=KernelPreference.TORCH, **alike)
    return Float8WeightOnlyConfig(**alike)


def has_fp8(device: torch.device) -> bool:
    """Whether a device multiplies fp8 with fp8."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= FP8_CAPABILITY


def unpacked(weight: torch.Tensor) -> torch.Tensor:
    """A matrix in what is computed in: itself, where it is not held in eight bits."""
    return weight if type(weight) in (torch.Tensor, torch.nn.Parameter) else weight.dequantize()


def held_bytes(network: torch.nn.Module) -> int:
    """Bytes of a network's weights and buffers where they lie, scales included; what is there twice counts once."""
    storages: dict[int, int] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        for part in _parts(tensor):
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    if type(tensor) in (torch.Tensor, torch.nn.Parameter):
        return [tensor.detach()]
    names, _ = tensor.__tensor_flatten__()  # type: ignore[attr-defined]
    return [part for name in names for part in _parts(getattr(tensor, name))]


def library(precision: str) -> str:
    """The library that a precision's pixels depend on besides PyTorch, and its version; "" where there is none.

    Raises JobError where it is missing.
    """
    if problem := precision_problem(precision):
        raise JobError(problem, code="bad_option")
    return f"torchao {version('torchao')}" if precision in SCALE_BYTES else ""
