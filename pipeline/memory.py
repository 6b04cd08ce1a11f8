"""Memory that runs out: how that is told, and how whatever did not fit gives back all that it held."""

import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""How PyTorch says it where it has no class for it: a CUDA call's own error, the CPU's allocator, a matrix library."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether it was the memory of a device, or of a process, that ran out: by name and words, without torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def attempt(compute: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T | None:
    """What `compute` gives; None where memory ran out over it, and then nothing of it is left and caches are empty."""
    try:
        return compute(*arguments, **options)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Outside of the except block, where the error's traceback keeps no tensor of any frame alive.
    release()
    return None


def release() -> None:
    """Give back what nobody uses: objects in circles, then what PyTorch has cached of the device's memory."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
