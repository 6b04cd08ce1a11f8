"""What one picture of FLUX.2 takes of a GPU, counted: operations of matrix products, bytes moved beside them, kernels.

Counted from the architecture (`Flux2Transformer2DModel` in diffusers 0.42), an operation being a multiplication or an
addition: a product of (M, K) and (K, N) has 2 M N K. With width w, T words, N tokens of picture and references and
S = T + N, a pass of a row takes

    blocks      2 * 13 w² * S a block: of a double-stream block's 26 w² each token meets half, a single one has 13 w²
    attention   4 * S² * w a block: queries with keys, and what they weigh of the values
    ways        2 w (N channels in and N channels out, T of the prompt's embedding in)
    once a unit 2 * (15 w² modulations, 2 w² in the last norm, moments: 256 w + w² each)

`tests/pipeline/families/flux2/test_gpu_benchmark.py` holds this to `torch.utils.flop_counter`, which counts what really
runs.
"""

from dataclasses import dataclass

from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model

_HEAD, _CHANNELS, _TIME = 128, 128, 256

EAGER_NUMBERS = (136, 127)
"""For each token and width, what a double and a single block read and write outside of matrix products and attention,
kernel by kernel: counted by dispatching a pass on the meta device, in bf16 numbers (factors of fp32 count twice)."""
COMPILED_NUMBERS = (29, 20)
"""The same where every chain of them is one kernel that reads its inputs once and writes its result once: by hand."""
EAGER_KERNELS = (91, 43)
"""Kernels of a double and of a single block, eagerly, attention counted as one: from the same dispatch."""
COMPILED_KERNELS = (24, 8)
"""The same with chains as one kernel: 12 products and 4 products, attention, and what lies between: by hand."""


@dataclass(frozen=True)
class Work:
    """Of a whole unit: operations of products with matrices in blocks and of all others, of attention; bytes that
    everything else moves, and kernels, eagerly and compiled."""

    blocks: float
    others: float
    attention: float
    eager_bytes: float
    compiled_bytes: float
    eager_kernels: int
    compiled_kernels: int

    @property
    def operations(self) -> float:
        return self.blocks + self.others + self.attention


def work_of(model: Model, embedding: int, shape: Shape, rows: int) -> Work:
    """What denoising a unit of `rows` requests of one shape takes; `embedding` is the D of a prompt's embedding."""
    doubles, singles, heads = model.blocks
    width, count = heads * _HEAD, doubles + singles
    words, pictures = shape.text_tokens, shape.tokens - shape.text_tokens
    moments = 2 if model.family == "flux2" else 1
    once = 2 * (17 * width**2 + moments * (_TIME * width + width**2))
    ways = 2 * width * (2 * pictures * _CHANNELS + words * embedding)
    passes, each = shape.nfe, rows * shape.tokens * width * 2 * shape.nfe  # bytes of a bf16 number, each

    def both(numbers: tuple[int, int]) -> int:
        return doubles * numbers[0] + singles * numbers[1]

    return Work(
        blocks=passes * rows * shape.tokens * 26.0 * width**2 * count,
        others=passes * (once + rows * float(ways)),
        attention=passes * rows * 4.0 * shape.tokens**2 * width * count,
        eager_bytes=float(each * both(EAGER_NUMBERS)),
        compiled_bytes=float(each * both(COMPILED_NUMBERS)),
        eager_kernels=passes * both(EAGER_KERNELS),
        compiled_kernels=passes * both(COMPILED_KERNELS),
    )
