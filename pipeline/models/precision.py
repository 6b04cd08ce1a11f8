"""Precisions: what a model's numbers are held in, by the name that a job's spec uses. Free of torch: planners ask here.

fp32 and bf16 hold and compute everything in one type. fp8 and int8 hold the matrices of the transformer's blocks and of
the text encoder's layers, nine tenths of a model, in eight bits a number with one scale for each row, and everything
else in bf16: embeddings, norms, modulations, the ways in and out, the autoencoder. Those few are looked at once a pass
and decide much: with mini, modulations in eight bits as well cost 1 to 3 dB.
"""

from importlib.util import find_spec

WEIGHT_BYTES = {"bf16": 2, "fp8": 1, "int8": 1, "fp32": 4}
"""Of one number of a matrix in a block."""

PRECISIONS = tuple(WEIGHT_BYTES)

SCALE_BYTES = {"fp8": 4, "int8": 5}
"""Beside each row of such a matrix: a scale in fp32, and where a library allows for one, a zero point."""

UNPACKED_BYTES = {"fp8": 10, "int8": 6}
"""Of one number of the matrix that is being multiplied with, where a device unpacks it: in fp32, scaled, and from there
in bf16 (what torchao 0.18 was measured to take)."""


def dense_bytes(precision: str) -> int:
    """Of one number of everything else, and of what is computed."""
    return max(2, WEIGHT_BYTES[precision])


def precision_problem(precision: str) -> str:
    """Why this process cannot have a precision, as a sentence; "" where it can."""
    if precision not in WEIGHT_BYTES:
        return f"There is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}."
    if precision in SCALE_BYTES and find_spec("torchao") is None:
        return (
            f"`precision` {precision} needs torchao, which is not installed; install Pressrun with its extra "
            "quantised (pip install 'pressrun[quantised]'), on every node."
        )
    return ""
