"""Train the judge on the drawings, and say how often it is right on drawings of combinations it never saw.

Light augmentation (blur, noise, brightness) keeps it from leaning on pixels that only a drawing has.
"""

import argparse
import random
import time
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from pressrun.pipeline.mini.training.dataset import SHAPES, Drawings, load_drawings
from pressrun.pipeline.mini.training.judge import JUDGE_FILE, Judge, split_scores, to_input, verdicts
from pressrun.pipeline.mini.training.scenes import Scene, draw, dressed
from pressrun.pipeline.mini.training.vocabulary import ATTRIBUTES, combinations


def prepare(drawings: list[Drawings]) -> tuple[torch.Tensor, torch.Tensor]:
    """All drawings shrunk to the judge's size (N, 3, 96, 96) in bfloat16, and their labels (N, attributes)."""
    pictures, labels = [], []
    for source in drawings:
        for i in range(0, len(source.scenes), 500):
            batch = [Image.fromarray(pixels) for pixels in source.pixels[i : i + 500]]
            pictures.append(to_input(batch).bfloat16())
        labels += [[ATTRIBUTES[what].index(getattr(s, what)) for what in ATTRIBUTES] for s in source.scenes]
    return torch.cat(pictures), torch.tensor(labels)


def augment(x: torch.Tensor) -> torch.Tensor:
    """Half the batch is blurred; all of it gets noise, and a little more or less light; shifted by up to 3 pixels."""
    b = len(x)
    blurred = functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    x = torch.where(torch.rand(b, 1, 1, 1) < 0.5, blurred, x)
    x = x * (1 + 0.1 * torch.randn(b, 1, 1, 1)) + 0.04 * torch.randn(b, 1, 1, 1) + 0.06 * torch.randn_like(x)
    down, right = (int(v) for v in torch.randint(0, 7, (2,)))
    return functional.pad(x, (3, 3, 3, 3), mode="replicate")[..., down : down + x.shape[2], right : right + x.shape[3]]


def held_out_scenes(count: int, seed: int = 7) -> list[Scene]:
    """`count` scenes of combinations that training never shows."""
    rng = random.Random(seed)
    return [dressed(*rng.choice(combinations(held=True)), 10_000_000 + i, rng) for i in range(count)]


def accuracy(judge: Judge, count: int = 300) -> dict[str, float]:
    """Share of held-out drawings, in all shapes, that the judge names rightly; per attribute.

    `all` is product, colour and scene together. A season or time that is left open counts as a name like the others.
    """
    scenes = held_out_scenes(count)
    seen = verdicts(judge, [draw(scene, *SHAPES[i % len(SHAPES)]) for i, scene in enumerate(scenes)])
    pairs = list(zip(scenes, seen, strict=True))
    right = {what: [getattr(s, what) == getattr(v, what) for s, v in pairs] for what in ATTRIBUTES}
    right["all"] = [all(row) for row in zip(*(right[what] for what in ("product", "colour", "scene")), strict=True)]
    return {what: sum(row) / count for what, row in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the judge of the shipped model.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawings")
    parser.add_argument("--out", type=Path, default=JUDGE_FILE)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()

    torch.manual_seed(0)
    pictures, labels = prepare(load_drawings(options.data))
    judge = Judge().train()
    batch, started = 128, time.monotonic()
    steps = options.epochs * (len(pictures) // batch)
    optimiser = torch.optim.AdamW(judge.parameters(), 3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps, pct_start=0.1)
    order = torch.randperm(len(pictures))
    for step in range(steps):
        start = step * batch % (len(pictures) - batch)
        rows = order[start : start + batch]
        tables = split_scores(judge(augment(pictures[rows].float())))
        losses = [functional.cross_entropy(table, labels[rows, k]) for k, table in enumerate(tables.values())]
        loss = torch.stack(losses).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            speed = (step + 1) * batch / (time.monotonic() - started)
            print(f"step {step} of {steps}  loss {float(loss):.3f}  {speed:.0f} images/s", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: v.half() for name, v in judge.state_dict().items() if v.is_floating_point()}, options.out)
    options.out.chmod(0o644)
    print({what: f"{share:.1%}" for what, share in accuracy(judge.eval()).items()})


if __name__ == "__main__":
    main()
