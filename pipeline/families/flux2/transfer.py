"""The way of a tensor to the device that computes with it, without anybody waiting.

What lies in ordinary memory a GPU can only fetch while the host stands by, and PyTorch then waits for everything that
was asked of the GPU before. From pinned memory it fetches by itself, in its turn, and the host goes on.
"""

import torch


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor` on `device`; itself, where it is there already."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
