"""The drawn training pictures on disk: one array of uint8 pixels per shape, and the scenes they show.

Drawing takes longer than a training step, so it happens once; the arrays are memory-mapped afterwards.
"""

import argparse
import json
import multiprocessing
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pressrun.pipeline.mini.training.scenes import Scene, draw, training_scenes

# (width, height) of the training pictures by size: squares, and wide and tall ones of about the same area.
SMALL: tuple[tuple[int, int], ...] = ((128, 128), (160, 96), (96, 160))
MIDDLE: tuple[tuple[int, int], ...] = ((256, 256), (336, 192), (192, 336))
LARGE: tuple[tuple[int, int], ...] = ((384, 384),)
SHAPES = SMALL + MIDDLE + LARGE
SHARES: tuple[float, ...] = (0.28, 0.11, 0.11, 0.22, 0.11, 0.11, 0.06)  # of the drawings


@dataclass(frozen=True)
class Drawings:
    """Drawings of one shape: `scenes[i]` is what `pixels[i]`, uint8 (H, W, 3), shows."""

    width: int
    height: int
    scenes: list[Scene]
    pixels: np.ndarray


def _folder(root: Path, shape: tuple[int, int]) -> Path:
    return root / f"drawings-{shape[0]}x{shape[1]}"


def _draw_share(job: tuple[str, list[Scene], int, int, int]) -> int:
    path, scenes, start, width, height = job
    pixels = np.load(path, mmap_mode="r+")
    for i, scene in enumerate(scenes):
        pixels[start + i] = np.asarray(draw(scene, width, height))
    pixels.flush()
    return len(scenes)


def draw_all(root: Path, count: int, seed: int = 0, processes: int = 2) -> None:
    """Draw `count` training pictures under `root`, in all shapes; shapes that are already there are left alone."""
    root.mkdir(parents=True, exist_ok=True)
    for index, (shape, share) in enumerate(zip(SHAPES, SHARES, strict=True)):
        folder, (width, height) = _folder(root, shape), shape
        if (folder / "scenes.json").exists():
            continue
        folder.mkdir(exist_ok=True)
        scenes = training_scenes(round(count * share), seed * len(SHAPES) + index)
        path = str(folder / "pixels.npy")
        np.lib.format.open_memmap(path, "w+", np.uint8, (len(scenes), height, width, 3)).flush()
        jobs = [(path, scenes[i : i + 100], i, width, height) for i in range(0, len(scenes), 100)]
        done = 0
        with multiprocessing.Pool(processes) as pool:
            for number in pool.imap_unordered(_draw_share, jobs):
                done += number
                if done % 1000 == 0:
                    print(f"{width}x{height}: {done} of {len(scenes)} drawn", flush=True)
        # Written last: its presence says that the pixels are whole.
        (folder / "scenes.json").write_text(json.dumps([asdict(scene) for scene in scenes]))


def load_drawings(root: Path) -> list[Drawings]:
    """The drawings under `root`, one entry a shape. Raises FileNotFoundError before `draw_all` has finished."""
    found = []
    for shape in SHAPES:
        folder = _folder(root, shape)
        scenes = [Scene(**entry) for entry in json.loads((folder / "scenes.json").read_text())]
        found.append(Drawings(*shape, scenes, np.load(folder / "pixels.npy", mmap_mode="r")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the training pictures of the shipped model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the drawings")
    parser.add_argument("--count", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    draw_all(options.out, options.count, options.seed, options.processes)


if __name__ == "__main__":
    main()
