"""Training batches for the flow network: pictures of one shape, what was asked for, and reference pictures."""

import random
from dataclasses import dataclass

import torch
from transformers import Qwen2Tokenizer

from pipeline.mini.architecture import TEXT_LENGTH
from pipeline.mini.captions import caption
from pipeline.mini.latents import Latents
from pipeline.mini.scenes import Scene
from pipeline.mini.vocabulary import ATTRIBUTES, COLOURS

REFERENCE_SHARE = 0.18  # of the batches
# Reference batches by kind (see captions.TEMPLATES); numbered references stand in random order.
KINDS: tuple[str, ...] = ("product", "product", "recoloured", "place", "both")


@dataclass(frozen=True)
class Batch:
    """`target` (B, L, 128); `references` (B, R, 128), R = 0 without any; `positions` (L + R, 4).

    Token ids and mask are (B, 48). `labels` (B, 3) number the product, colour and scene of the target, in the
    vocabulary's order.
    """

    target: torch.Tensor
    references: torch.Tensor
    positions: torch.Tensor
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    captions: list[str]


def tokenise(tokenizer: Qwen2Tokenizer, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (B, 48), padded as diffusers' pipeline pads a prompt."""
    found = tokenizer(captions, return_tensors="pt", padding="max_length", truncation=True, max_length=TEXT_LENGTH)
    return found["input_ids"], found["attention_mask"]


def batch_of(sources: list[Latents], size: int, tokenizer: Qwen2Tokenizer, rng: random.Random) -> Batch:
    """A batch of `size` pictures of one shape; about a fifth of all batches comes with one or two references each."""
    source = rng.choices(sources, [len(s.scenes) for s in sources])[0]
    if rng.random() >= REFERENCE_SHARE:
        rows = [rng.randrange(len(source.scenes)) for _ in range(size)]
        texts = [caption(s.product, s.colour, s.scene, rng) for s in (source.scenes[i] for i in rows)]
        none = torch.empty(size, 0, source.tokens.shape[-1], dtype=source.tokens.dtype)
        return Batch(
            source.tokens[rows], none, source.positions(0), *tokenise(tokenizer, texts), _labels(source, rows), texts
        )
    return _with_references(source, sources, size * 7 // 10, rng.choice(KINDS), tokenizer, rng)


def _with_references(
    source: Latents, sources: list[Latents], size: int, kind: str, tokenizer: Qwen2Tokenizer, rng: random.Random
) -> Batch:
    shown = rng.choices(sources, [len(s.scenes) for s in sources])[0]  # the shape of the references
    rows: list[int] = []
    chosen: list[list[int]] = []
    texts: list[str] = []
    count = 2 if kind == "both" or rng.random() < 0.25 else 1
    while len(rows) < size:
        row = rng.randrange(len(source.scenes))
        wanted = source.scenes[row]
        product_image, place_image = rng.sample((1, 2), 2) if count == 2 else (1, 1)
        pictures = [rng.randrange(len(shown.scenes)) for _ in range(count)]  # one that nothing refers to is noise
        if kind != "place":
            pictures[product_image - 1] = _product_picture(shown, wanted, kind, rng)
        if kind in ("place", "both"):
            pictures[place_image - 1] = rng.choice(shown.same_place[wanted.scene])
        rows.append(row)
        chosen.append(pictures)
        texts.append(
            caption(
                wanted.product,
                wanted.colour,
                wanted.scene,
                rng,
                kind=kind,
                product_image=product_image,
                place_image=place_image,
            )
        )
    references = torch.cat([shown.tokens[[pictures[k] for pictures in chosen]] for k in range(count)], dim=1)
    positions = torch.cat([source.positions(0), *(shown.positions(10 + 10 * k) for k in range(count))])
    return Batch(source.tokens[rows], references, positions, *tokenise(tokenizer, texts), _labels(source, rows), texts)


def _labels(source: Latents, rows: list[int]) -> torch.Tensor:
    """(B, 3): product, colour and scene of the drawings `rows`, as numbers."""
    shown = [source.scenes[i] for i in rows]
    return torch.tensor([[names.index(getattr(s, what)) for what, names in ATTRIBUTES.items()] for s in shown])


def _product_picture(shown: Latents, wanted: Scene, kind: str, rng: random.Random) -> int:
    """A picture of the wanted product: in its colour, or in another one where the words ask for a new colour."""
    colour = rng.choice([c for c in COLOURS if c != wanted.colour]) if kind == "recoloured" else wanted.colour
    return rng.choice(shown.same_product[wanted.product, colour])
