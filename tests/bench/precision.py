"""What each precision costs and saves: bytes of weights as held, CPU seconds, nearness to bf16, adherence.

    python -m tests.bench.precision [--pictures 100] [--device cpu] [--json FILE]

mini on the CPU, one thread, or on a GPU (seconds are wall seconds there): the same prompts and seeds in every
precision, all of combinations that its training never showed; the judge is that of `pipeline.mini.training.evaluate`.
Beside it what the catalogue's models would hold, from their exact numbers of parameters.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pressrun.pipeline.families.flux2.footprint import footprint_of
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.mini.training.evaluate import prompts_for, shares
from pressrun.pipeline.mini.training.scenes import Scene
from pressrun.pipeline.mini.training.train_judge import held_out_scenes
from pressrun.pipeline.models.catalogue import catalogue, find_model
from pressrun.pipeline.models.precision import PRECISIONS
from pressrun.pipeline.models.quantisation import held_bytes
from pressrun.pipeline.request import RenderRequest

SIDE = 128
MODELS = ("flux2-klein-4b", "flux2-klein-9b", "flux2-dev")


def rendered(precision: str, scenes: list[Scene], device: str) -> dict[str, Any]:
    """What one precision holds and makes."""
    model = find_model("mini")
    renderer = Renderer.load(model, precision, device, threads=1)
    clock = time.process_time if device == "cpu" else time.perf_counter  # every picture's pixels are waited for
    requests = [
        RenderRequest(f"row-{number}", prompt, SIDE, SIDE, model.steps, model.guidance, seed=scene.seed)
        for number, (scene, prompt) in enumerate(zip(scenes, prompts_for(scenes), strict=True))
    ]
    renderer.render(requests[:1])
    started = clock()
    pictures = [
        picture for first in range(0, len(requests), 4) for picture in renderer.render(requests[first : first + 4])
    ]
    seconds = (clock() - started) / len(requests)
    assert renderer.transformer and renderer.text_encoder
    return {
        "pictures": [np.asarray(picture) for picture in pictures],
        "seconds": seconds,
        "transformer": held_bytes(renderer.transformer.network),
        "text_encoder": held_bytes(renderer.text_encoder.network),
        "shares": shares(scenes, [Image.fromarray(np.asarray(picture)) for picture in pictures]),
    }


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    """PSNR of two pictures, at most 99."""
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return min(99.0, 10 * math.log10(255**2 / error)) if error else 99.0


def held() -> Iterator[tuple[str, str, float, float, float]]:
    """Of each model and precision GiB of the transformer and of the text encoder, and the whole pipeline's share of
    what bf16 takes."""
    for name in MODELS:
        footprint = footprint_of(catalogue()[name])
        assert footprint
        whole = footprint.weights(("encode", "denoise", "decode"), "bf16")
        for precision in ("bf16", "fp8", "int8"):
            parts = [footprint.weights(stages, precision) for stages in (("denoise",), ("encode",), ("decode",))]
            vae = parts[2]
            parts[1] -= vae  # encoding takes the autoencoder as well, for references
            yield name, precision, parts[0] / 2**30, parts[1] / 2**30, sum(parts) / whole


def main() -> None:
    parser = argparse.ArgumentParser(description="What each precision costs and saves.")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    scenes = held_out_scenes(options.pictures, seed=1)
    found = {precision: rendered(precision, scenes, options.device) for precision in PRECISIONS}
    base = found["bf16"]["pictures"]
    seen = "product | colour | scene | all | season | time"
    print(f"| mini | transformer MB | text encoder MB | s a picture | PSNR | least | {seen} |")
    print(f"|{'---|' * 12}")
    for precision, one in found.items():
        near = [decibels(*pair) for pair in zip(one["pictures"], base, strict=True)]
        one["psnr"] = (float(np.median(near)), min(near))
        sizes = [f"{one[part] / 1e6:.2f}" for part in ("transformer", "text_encoder")]
        right = [f"{share or 0:.0%}" for share in asdict(one["shares"]).values()]
        cells = [*sizes, f"{one['seconds']:.3f}", *(f"{db:.1f}" for db in one["psnr"]), *right]
        print(f"| {precision} | {' | '.join(cells)} |")
    print(
        "\n| model | precision | transformer GiB | text encoder GiB | whole pipeline, of bf16 |\n|---|---|---|---|---|"
    )
    table = list(held())
    for name, precision, transformer, words, part in table:
        print(f"| {name} | {precision} | {transformer:.1f} | {words:.1f} | {part:.0%} |")
    if options.json:
        names = ("psnr", "seconds", "transformer", "text_encoder")
        figures = {
            precision: {"shares": asdict(one["shares"]), **{name: one[name] for name in names}}
            for precision, one in found.items()
        }
        options.json.write_text(json.dumps({"mini": figures, "held": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
