"""Training batches for the flow network: pictures of one shape, what was asked for, and reference pictures.

A batch is first planned (which drawings, which words), by as many worker processes as the machine has to spare, and
then put together from the latents, wherever those are.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.data import IterableDataset, get_worker_info
from transformers import Qwen2Tokenizer

from pressrun.pipeline.mini.training.architecture import TEXT_LENGTH
from pressrun.pipeline.mini.training.captions import ENGLISH, Images, caption, named
from pressrun.pipeline.mini.training.dataset import LARGE, MIDDLE, SMALL
from pressrun.pipeline.mini.training.languages import LANGUAGES
from pressrun.pipeline.mini.training.latents import Latents
from pressrun.pipeline.mini.training.scenes import Scene
from pressrun.pipeline.mini.training.vocabulary import ANY, ATTRIBUTES, COLOURS, SEASONS, TIMES

REFERENCE_SHARE = 0.5  # of the batches
FOREIGN_SHARE = 0.3  # of the captions are Japanese, German or Chinese
NUMBERS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)  # of references in a batch that has any, equally likely
SKIPPING_SHARE = 0.3  # of the batches with references number them with gaps, up to MOST: more are used than trained on
MOST = 10
SAID_SHARE = 0.3  # of the seasons and times are named by the words although a reference shows a place: the words win

# Kinds of caption (see captions.TEMPLATES) beside references, by weight; "plain" is one that does not mention them.
KINDS: dict[str, float] = {
    "product": 0.44,
    "recoloured": 0.12,
    "place": 0.13,
    "both": 0.13,
    "edited colour": 0.07,
    "edited season": 0.03,
    "edited time": 0.03,
    "plain": 0.05,
}
NOTHING = "a picture"  # what the words are that ask for nothing in particular
NOTHING_SHARE = 0.1  # of the pictures without references are asked for like that
SMALL_FIRST = 0.4  # of a run, before most pictures are of middle size
UNSAID = -100  # the label of an attribute that the words do not name: torch's cross entropy passes over it


@dataclass(frozen=True)
class Shown:
    """The drawings `rows` (B,) of shelf `shelf` as the references numbered `number`."""

    number: int
    shelf: int
    rows: torch.Tensor


@dataclass(frozen=True)
class Plan:
    """What a batch is made of: drawings `rows` (B,) of shelf `shelf`, references, tokens and mask (B, 48), labels.

    `labels` (B, attributes) number what the words name, in the vocabulary's order, and are `UNSAID` elsewhere.
    """

    shelf: int
    rows: torch.Tensor
    shown: list[Shown]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    captions: list[str]


@dataclass(frozen=True)
class Batch:
    """`target` (B, L, 128); `references` (B, R, 128), R = 0 without any; `positions` (L + R, 4); the rest: `Plan`.

    `shows` (B, attributes) numbers what the target shows, whoever says so: the words, a reference, or nobody.
    """

    target: torch.Tensor
    references: torch.Tensor
    positions: torch.Tensor
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    shows: torch.Tensor
    captions: list[str]


def tokenise(tokenizer: Qwen2Tokenizer, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (B, 48), padded as diffusers' pipeline pads a prompt."""
    found = tokenizer(captions, return_tensors="pt", padding="max_length", truncation=True, max_length=TEXT_LENGTH)
    return found["input_ids"], found["attention_mask"]


def shares(progress: float, small_first: float = SMALL_FIRST) -> dict[tuple[int, int], float]:
    """How likely a batch of each shape is at `progress` 0..1: small pictures first, which cost a quarter.

    Of the small ones and of the middle ones half are square, and the rest wide or tall.
    """
    small, middle, large = (0.90, 0.10, 0.0) if progress < small_first else (0.15, 0.78, 0.07)
    found = {shape: large / len(LARGE) for shape in LARGE}
    for shapes, share in ((SMALL, small), (MIDDLE, middle)):
        found |= {shape: share * (0.5 if width == height else 0.25) for shape in shapes for width, height in [shape]}
    return found


class Planner:
    """Plans batches of about `budget` tokens from `shelves`, which hold the drawings of one shape each.

    `referred` of the batches have references; up to `small_first` of the run most pictures are small.
    """

    def __init__(
        self,
        shelves: Sequence[Latents],
        tokenizer: Qwen2Tokenizer,
        budget: int,
        *,
        referred: float = REFERENCE_SHARE,
        small_first: float = SMALL_FIRST,
    ) -> None:
        self.shelves, self.tokenizer, self.budget = shelves, tokenizer, budget
        self.referred, self.small_first = referred, small_first
        self.small = [i for i, shelf in enumerate(shelves) if (shelf.width, shelf.height) in SMALL]

    def plan(self, rng: random.Random, progress: float) -> Plan:
        """The next batch at `progress` 0..1 of the run."""
        likely = shares(progress, self.small_first)
        weights = [likely.get((shelf.width, shelf.height), 0.0) for shelf in self.shelves]
        place = rng.choices(range(len(self.shelves)), weights)[0]
        numbers: list[int] = []
        if rng.random() < self.referred:
            count = rng.choice(NUMBERS)
            gaps = rng.random() < SKIPPING_SHARE
            numbers = sorted(rng.sample(range(1, MOST + 1), count)) if gaps else list(range(1, count + 1))
        sources = [rng.choice(self.small) for _ in numbers]
        length = self.shelves[place].length + TEXT_LENGTH + sum(self.shelves[k].length for k in sources)
        size = max(self.budget // length, 1)
        asked = [self._row(self.shelves[place], numbers, sources, rng) for _ in range(size)]
        texts = [text for _, _, text, _ in asked]
        shown = [
            Shown(number, source, torch.tensor([pictures[k] for _, pictures, _, _ in asked]))
            for k, (number, source) in enumerate(zip(numbers, sources, strict=True))
        ]
        rows, labels = torch.tensor([row for row, *_ in asked]), torch.tensor([label for *_, label in asked])
        return Plan(place, rows, shown, *tokenise(self.tokenizer, texts), labels, texts)

    def _row(
        self, source: Latents, numbers: list[int], sources: list[int], rng: random.Random
    ) -> tuple[int, list[int], str, list[int]]:
        """A drawing, the references' drawings, a caption and its labels. Tries until the shelves hold what it takes."""
        while True:
            row = rng.randrange(len(source.scenes))
            kind = rng.choices(list(KINDS), list(KINDS.values()))[0] if numbers else "plain"
            if kind == "both" and len(numbers) < 2:
                kind = "product"
            product, place = rng.sample(range(len(numbers)), 2) if len(numbers) > 1 else (0, 0)
            if not numbers and rng.random() < NOTHING_SHARE:
                return row, [], NOTHING, [UNSAID] * len(ATTRIBUTES)
            said = _said(source.scenes[row], kind, rng)
            pictures = [rng.randrange(len(self.shelves[k].scenes)) for k in sources]  # one not referred to is noise
            if kind not in ("plain", "place"):
                fitting = _products(source.scenes[row], kind, self.shelves[sources[product]], rng)
                if not fitting:
                    continue
                pictures[product] = rng.choice(fitting)
            if kind in ("place", "both"):
                fitting = _places(source.scenes[row], said, self.shelves[sources[place]], rng)
                if not fitting:
                    continue
                pictures[place] = rng.choice(fitting)
            images = Images(numbers[product], numbers[place], numbers == [1]) if numbers else None
            language = rng.choice(list(LANGUAGES)) if rng.random() < FOREIGN_SHARE else ENGLISH
            return row, pictures, caption(said, rng, kind=kind, images=images, language=language), _labels(said, kind)


def _said(wanted: Scene, kind: str, rng: random.Random) -> Scene:
    """What the words are to say: of season and time, what no reference shows, and what they change about it."""
    if kind in ("plain", "product", "recoloured"):
        return wanted
    changing = SAID_SHARE if kind in ("place", "both") else 0.0
    season = kind == "edited season" or rng.random() < changing
    time = kind == "edited time" or rng.random() < changing
    return replace(wanted, season=wanted.season if season else ANY, time=wanted.time if time else ANY)


def _products(wanted: Scene, kind: str, shelf: Latents, rng: random.Random) -> list[int]:
    """The drawings that show what a caption of `kind` leaves to the picture of a product."""
    if kind in ("product", "both"):
        return shelf.by_product.get((wanted.product, wanted.colour), [])
    if kind == "recoloured":
        return shelf.by_product.get((wanted.product, rng.choice([c for c in COLOURS if c != wanted.colour])), [])
    changed = kind.removeprefix("edited ")
    if getattr(wanted, changed) == ANY:
        return []  # nothing that words could ask for
    same = [what for what in ATTRIBUTES if what != changed]
    near = shelf.by_scene.get((wanted.product, wanted.scene), [])
    return [
        i
        for i in near
        if getattr(shelf.scenes[i], changed) != getattr(wanted, changed)
        and all(getattr(shelf.scenes[i], what) == getattr(wanted, what) for what in same)
    ]


def _places(wanted: Scene, said: Scene, shelf: Latents, rng: random.Random) -> list[int]:
    """The drawings of the wanted place, in its season and at its time of day unless the words change them."""
    season = wanted.season if said.season == ANY else rng.choice(SEASONS)
    time = wanted.time if said.time == ANY else rng.choice(TIMES)
    return shelf.by_place.get((wanted.scene, season, time), [])


def _labels(said: Scene, kind: str) -> list[int]:
    """The names that the words say, as numbers, in the order of `ATTRIBUTES`."""
    heard = named(said, kind)
    return [names.index(getattr(said, what)) if what in heard else UNSAID for what, names in ATTRIBUTES.items()]


def assemble(plan: Plan, shelves: Sequence[Latents]) -> Batch:
    """The batch that `plan` describes, on the device where the latents are."""
    target = shelves[plan.shelf]
    device = target.tokens.device
    rows = plan.rows.to(device)
    tokens = target.tokens[rows]
    shown = [shelves[s.shelf].tokens[s.rows.to(device)] for s in plan.shown]
    positions = [target.positions(0), *(shelves[s.shelf].positions(10 * s.number) for s in plan.shown)]
    return Batch(
        tokens,
        torch.cat(shown, dim=1) if shown else tokens[:, :0],
        torch.cat(positions).to(device),
        plan.input_ids.to(device),
        plan.attention_mask.to(device),
        plan.labels.to(device),
        target.shows[rows],
        plan.captions,
    )


class Plans(IterableDataset[Plan]):
    """An endless stream of plans for a data loader; `progress` is shared memory that the training writes to."""

    def __init__(self, planner: Planner, progress: torch.Tensor, seed: int) -> None:
        self.planner, self.progress, self.seed = planner, progress, seed

    def __iter__(self) -> Iterator[Plan]:
        worker = get_worker_info()
        rng = random.Random(1000 * self.seed + (worker.id if worker else 0))
        while True:
            yield self.planner.plan(rng, float(self.progress))
