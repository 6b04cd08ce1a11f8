"""Memory that runs out: what counts as that, and that nothing is left of what did not fit."""

import weakref

import pytest
import torch

from pressrun.pipeline.memory import attempt, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_memory_that_ran_out_is_known_by_whatever_error_tells_it(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_a_real_allocation_that_is_too_large_gives_nothing() -> None:
    assert attempt(torch.empty, 1 << 50) is None


def test_what_did_not_fit_keeps_no_tensor_alive() -> None:
    kept = []

    class Layer:
        def __init__(self) -> None:
            self.itself, self.hidden = self, torch.zeros(4)  # in a circle: only the collector finds it
            kept.append(weakref.ref(self.hidden))

    def compute(rows: int) -> None:
        hidden, layer = torch.zeros(rows), Layer()
        kept.append(weakref.ref(hidden))
        try:
            raise ZeroDivisionError(layer)
        except ZeroDivisionError as error:
            raise torch.OutOfMemoryError("CUDA out of memory.") from error

    assert attempt(compute, 8) is None
    assert [ref() for ref in kept] == [None, None]


def test_other_errors_are_not_taken_for_it() -> None:
    def compute() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        attempt(compute)
