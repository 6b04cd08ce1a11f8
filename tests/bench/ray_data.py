"""The same pictures with Ray Data: `map_batches` over an actor pool that holds diffusers' pipeline.

    python -m tests.bench.ray_data MANIFEST OUT [--batch N]

One actor for each core, with Ray's default of one thread for an actor of one CPU. Ray Data needs CPUs of its own for
reading and hangs when its actors hold all of them (2.60), so two more than there are cores are declared. Rows are
sorted by size, so that most batches are of one; a block is a batch, so that both actors get work.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import ray

SPARE_CPUS = 2


class Renderer:
    """One actor of the pool."""

    def __init__(self, out: str) -> None:
        from tests.bench import diffusers_script

        self._script, self._out = diffusers_script, Path(out)
        self._pipeline = diffusers_script.load()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        rows = [
            {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in zip(batch, row, strict=True)
            }
            for row in zip(*batch.values(), strict=True)
        ]
        for group in self._script.by_size(rows):
            self._script.render(self._pipeline, group, self._out)
        return {"custom_id": batch["custom_id"]}


def main() -> None:
    """Render the whole manifest."""
    parser = argparse.ArgumentParser(description="Render a manifest with Ray Data and diffusers.")
    parser.add_argument("manifest")
    parser.add_argument("out", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=cores + SPARE_CPUS, include_dashboard=False)
    rows = ray.data.read_parquet(options.manifest)
    count = rows.count()
    done = (
        rows.sort(["width", "height"])
        .repartition(-(-count // options.batch))
        .map_batches(
            Renderer,
            fn_constructor_args=(str(options.out),),
            batch_size=options.batch,
            num_cpus=1,
            compute=ray.data.ActorPoolStrategy(size=cores),
        )
        .materialize()
    )
    assert done.count() == count


if __name__ == "__main__":
    main()
