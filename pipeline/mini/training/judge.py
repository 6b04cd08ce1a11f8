"""The judge: a small classifier that names what a picture shows, attribute by attribute, trained on drawings only.

It has never seen a generated picture, so what it says about them is not flattery. Its own accuracy on held-out
drawings stands beside every figure it produces.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES

JUDGE_FILE = Path(__file__).parent / "judge" / "judge.safetensors"
SIDE = 96  # pixels; pictures of every shape are shrunk to this square


@dataclass(frozen=True)
class Verdict:
    """What the judge sees in one picture."""

    product: str
    colour: str
    scene: str
    season: str
    time: str


class Judge(nn.Module):
    """Pictures (B, 3, 96, 96) in -1..1 -> scores (B, names of all attributes)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 80, 112)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.SiLU()]
            layers += [
                nn.Conv2d(after, after, 3, padding=1, groups=after),
                nn.Conv2d(after, after, 1),
                nn.BatchNorm2d(after),
                nn.SiLU(),
            ]
        self.features = nn.Sequential(*layers)  # (B, 112, 6, 6)
        self.dropout = nn.Dropout(0.1)
        self.scores = nn.Linear(widths[-1] * (SIDE // 16) ** 2, sum(len(names) for names in ATTRIBUTES.values()))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.scores(self.dropout(self.features(pictures).flatten(1)))
        return scores


def to_input(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of any size -> (B, 3, 96, 96) in -1..1."""
    small = [np.asarray(p.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1


def split_scores(scores: torch.Tensor) -> dict[str, torch.Tensor]:
    """The judge's output (B, names of all attributes) as one score table (B, names) an attribute."""
    parts = scores.split([len(names) for names in ATTRIBUTES.values()], dim=1)
    return dict(zip(ATTRIBUTES, parts, strict=True))


def load_judge(path: Path = JUDGE_FILE) -> Judge:
    """The trained judge. Raises FileNotFoundError where its weights are missing."""
    judge = Judge()
    judge.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=False)
    return judge.eval()


@torch.no_grad()
def verdicts(judge: Judge, pictures: Sequence[Image.Image]) -> list[Verdict]:
    """What `judge` sees in each picture."""
    tables = split_scores(judge(to_input(pictures)))
    named = {what: [ATTRIBUTES[what][i] for i in table.argmax(1).tolist()] for what, table in tables.items()}
    return [Verdict(*words) for words in zip(*named.values(), strict=True)]
