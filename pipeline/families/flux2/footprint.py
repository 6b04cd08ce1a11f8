"""What a model takes in memory, before anything of it is loaded: weights by part and block, and what stages compute in.

Weights are counted in the headers of a model's safetensors, or taken from the catalogue for one that is not on disk.
What a stage computes in is a formula over the picture's shape. Its coefficients are the peaks of live tensors that the
models' own code has on PyTorch's meta device, where memory is counted and none is used (`tests/pipeline/
test_footprint.py` repeats the measurement); attention is counted as flash attention, which keeps no scores.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.precision import SCALE_BYTES, UNPACKED_BYTES, WEIGHT_BYTES, dense_bytes
from pressrun.pipeline.models.weights import tensor_sizes
from pressrun.pipeline.request import WHOLE_PIXELS

_HEAD = 128  # numbers of one head of FLUX.2
_LATENT = 128  # channels of a latent token
_TIME = 256  # numbers that a moment is written in
_CHANNELS = (128, 256)
_WORDS = {"flux2": 131_072, "flux2-klein": 151_936}  # that the families' text encoders know

DENOISE_NUMBERS = 22.5
"""For each token and each of the transformer's widths, at the worst moment of a single-stream block: the hidden state,
its normalised copy, the nine-fold projection, rotated queries and keys, attention's output, and the joined halves."""
FP8_NUMBERS = 47.5
"""The same where fp8 is multiplied with fp8: what enters a product is scaled in fp32 (measured on a CPU, eager)."""
WIDEST = 9
"""Of the squares of its width a block's largest matrix has so many numbers: the projection of a single-stream block."""
DECODE_NUMBERS = 3
"""For each pixel and each channel that the decoder has when it reaches full size."""
ENCODE_NUMBERS = 5
"""For each pixel of a reference and each channel that the encoder begins with."""
WORD_NUMBERS = 20
"""For each token of a prompt and each of the text encoder's widths, beside the hidden states of the layers so far."""


def cut(blocks: int, shards: int) -> list[range]:
    """`blocks` blocks in `shards` ranges, as even as they get, the longer ones last: the first shard also embeds.

    Blocks count alike because they take alike long: a double-stream one has twice the weights, each for its own tokens.

    Raises ValueError where there are more shards than blocks.
    """
    if not 1 <= shards <= blocks:
        raise ValueError(f"{blocks} blocks cannot be cut into {shards} shards")
    ends = [number * blocks // shards for number in range(shards + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


DECODE_OPERATIONS = 153
"""For each pixel and the square of `DECODE_NUMBERS`' channels: counted on the meta device as well."""
TILED_OFTEN = 3.5
"""How much more arithmetic decoding in tiles takes than decoding whole (measured with mini: see
`pipeline.families.flux2.tiles`)."""
CONVOLUTION = 2.5
"""How much longer than in a matrix product an operation of a convolution takes (a rule of thumb)."""


@dataclass(frozen=True)
class Footprint:
    """Numbers (parameters) in a model's parts, and the sizes that its activations depend on.

    Of the text encoder only what reaches the embeddings counts; `dictionary` is its table of words. Every shard of the
    transformer holds `shared` (modulations, time), the first also `way_in`, the last `way_out`; `blocks` are counted
    double-stream ones first. `width` is the transformer's, `embedding` the D of a prompt's embedding, `channels` are
    those of the autoencoder's encoder and decoder at full size, `words` and `layers` what of the text encoder runs.
    """

    text_encoder: int
    dictionary: int
    autoencoder: int
    way_in: int
    shared: int
    blocks: tuple[int, ...]
    way_out: int
    width: int
    embedding: int
    channels: tuple[int, int]
    words: int
    layers: tuple[int, ...]
    reference_pixels: int

    def cut(self, shards: int) -> list[range]:
        """The blocks of each of so many shards."""
        return cut(len(self.blocks), shards)

    def weights(self, stages: Collection[str], precision: str, blocks: range | None = None) -> int:
        """Bytes of the parts that stages need; `blocks` are a shard's, None for the whole transformer."""
        dense, held = dense_bytes(precision), 0.0
        if "encode" in stages:
            layers = self.text_encoder - self.dictionary
            held += self.dictionary * dense + layers * _number_bytes(precision, self.text_width)
        if "encode" in stages or "decode" in stages:
            held += self.autoencoder * dense
        if "denoise" in stages:
            own = range(len(self.blocks)) if blocks is None else blocks
            held += sum(self.blocks[number] for number in own) * _number_bytes(precision, self.width)
            ways = (self.way_in if own.start == 0 else 0) + (self.way_out if own.stop == len(self.blocks) else 0)
            held += (self.shared + ways) * dense
        return round(held)

    @property
    def text_width(self) -> int:
        """Of the text encoder."""
        return self.embedding // len(self.layers)

    def activations(self, stages: Collection[str], shape: Shape, batch: int, precision: str) -> int:
        """Bytes that the most demanding of `stages` computes in, for a unit of `batch` requests of one shape."""
        size, unpacked = dense_bytes(precision), UNPACKED_BYTES.get(precision, 0)
        held = [0.0]
        if "encode" in stages:
            matrix = (self.text_encoder - self.dictionary) / max(self.layers) / 3  # at most a third of a layer
            held.append(self.words * self.text_width * (max(self.layers) + WORD_NUMBERS) * size + matrix * unpacked)
            if shape.reference_tokens:
                held.append(ENCODE_NUMBERS * self.channels[0] * self.reference_pixels * size)
        if "denoise" in stages:
            tokens = self.width * batch * shape.tokens * size
            held.append(DENOISE_NUMBERS * tokens + WIDEST * self.width**2 * unpacked)
            held.append(FP8_NUMBERS * tokens if precision == "fp8" else 0.0)
        if "decode" in stages:
            pixels = min(shape.width * shape.height, WHOLE_PIXELS)  # beyond, tiles need no more than that
            held.append(DECODE_NUMBERS * self.channels[1] * pixels * size)
        return int(max(held))

    def operations(self, stage: str, shape: Shape) -> float:
        """Arithmetic of a stage for one picture, in operations of matrix products: what says how long stages take, one
        beside the other, before anything was measured."""
        if stage == "encode":
            return 2.0 * self.text_encoder * self.words
        if stage == "denoise":
            # Of a double-stream block's weights each token meets half: those of the text, or those of the picture.
            met = len(self.blocks) * min(self.blocks)
            attention = 4.0 * shape.tokens * self.width * len(self.blocks)
            return shape.nfe * shape.tokens * (2.0 * met + attention)
        pixels = shape.width * shape.height
        often = TILED_OFTEN if pixels > WHOLE_PIXELS else 1.0
        return CONVOLUTION * DECODE_OPERATIONS * often * self.channels[1] ** 2 * pixels


def _number_bytes(precision: str, width: int) -> float:
    """Bytes of a number in a block or layer of this width, its row's scale included: rows are as long as the width, or
    longer."""
    return WEIGHT_BYTES[precision] + SCALE_BYTES.get(precision, 0) / width


def footprint_of(model: Model) -> Footprint | None:
    """What a model takes; None where neither files nor the catalogue tell.

    Raises:
        JobError: the configuration of its transformer or autoencoder cannot be read.
    """
    if model.folder is not None:
        return _counted(model)
    return _known(model) if model.transformer_bytes and model.blocks else None


def _known(model: Model) -> Footprint:
    """From the catalogue's totals and the architecture of FLUX.2: see `Flux2Transformer2DModel` in diffusers 0.42."""
    doubles, singles, heads = model.blocks
    width = heads * _HEAD
    blocks = (26 * width**2 + 4 * _HEAD,) * doubles + (13 * width**2 + 2 * _HEAD,) * singles
    moments = 2 if model.family == "flux2" else 1  # time, and guidance where it is an input
    shared = 15 * width**2 + moments * (_TIME * width + width**2)
    way_out = 2 * width**2 + _LATENT * width
    way_in = model.transformer_bytes // 2 - sum(blocks) - shared - way_out
    embedding = way_in // width - _LATENT
    return Footprint(
        text_encoder=model.text_encoder_held_bytes // 2,
        dictionary=_WORDS[model.family] * embedding // len(model.text_layers),
        autoencoder=model.autoencoder_bytes // 2,
        way_in=way_in,
        shared=shared,
        blocks=blocks,
        way_out=way_out,
        width=width,
        embedding=embedding,
        channels=_CHANNELS,
        words=model.text_length,
        layers=model.text_layers,
        reference_pixels=model.reference_pixels,
    )


def _counted(model: Model) -> Footprint:
    transformer, autoencoder = (_configuration(model.path / part) for part in ("transformer", "vae"))
    try:
        counts = [0] * (int(transformer["num_layers"]) + int(transformer["num_single_layers"]))
        width = int(transformer["num_attention_heads"]) * int(transformer["attention_head_dim"])
        embedding = int(transformer["joint_attention_dim"])
        encoder = autoencoder["block_out_channels"]
        decoder = autoencoder.get("decoder_block_out_channels") or encoder
        channels = int(encoder[0]), int(decoder[1])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise JobError(
            f"The configuration of {model.name} is no FLUX.2 model's: {error} is missing or odd.", code="damaged_model"
        ) from None
    rest = {"way_in": 0, "way_out": 0, "shared": 0}
    for name, numbers in tensor_sizes(model.path / "transformer"):
        block = _block_of(name, int(transformer["num_layers"]))
        if block is None:
            rest[_ENDS.get(name.split(".")[0], "shared")] += numbers
        elif block < len(counts):
            counts[block] += numbers
    words = dict(tensor_sizes(model.path / "text_encoder"))
    return Footprint(
        text_encoder=_held(words.items(), max(model.text_layers)),
        dictionary=sum(numbers for name, numbers in words.items() if "embed_tokens" in name.split(".")),
        autoencoder=sum(numbers for _, numbers in tensor_sizes(model.path / "vae")),
        blocks=tuple(counts),
        **rest,
        width=width,
        embedding=embedding,
        channels=channels,
        words=model.text_length,
        layers=model.text_layers,
        reference_pixels=model.reference_pixels,
    )


_ENDS = {"x_embedder": "way_in", "context_embedder": "way_in", "norm_out": "way_out", "proj_out": "way_out"}
_UNREAD = ("lm_head", "vision_tower", "multi_modal_projector")


def _block_of(name: str, doubles: int) -> int | None:
    kind, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    if kind not in ("transformer_blocks", "single_transformer_blocks") or not number.isdigit():
        return None
    return int(number) + (doubles if kind.startswith("single") else 0)


def _held(sizes: Iterable[tuple[str, int]], layers: int) -> int:
    """Numbers of a text encoder without its head, what it sees pictures with, and the layers behind the last one of
    which embeddings are made (see `TextEncoder.load`)."""
    held = 0
    for name, numbers in sizes:
        parts = name.split(".")
        if not any(part in _UNREAD for part in parts):
            layer = next((int(one) for before, one in pairwise(parts) if before == "layers"), 0)
            held += numbers if layer < layers else 0
    return held


def _configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{path} cannot be read: {error}.", code="damaged_model") from None
