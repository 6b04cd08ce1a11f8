"""Weights that stand in our own package: they travel to the nodes that lack them, not with the code to all of them.

The driver puts them into Ray's object store. An actor fetches from there what its node's copy of the package lacks, and
leaves it beside the code for every later actor, and every later run of the same code, on that node.
"""

import os
from pathlib import Path
from typing import Any

import ray

from pressrun import pipeline
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import catalogue, look_up

WEIGHTS = "*.safetensors"
"""The files that `cluster.runtime.ray_runtime` leaves out of the code that travels."""


def offered(name: str) -> tuple[tuple[str, Any], ...]:
    """Each weight file of a packaged model, by its path in the model's folder, and Ray's reference to its bytes; none
    for a model that every node has to have by itself."""
    model = catalogue().get(name)
    folder = model.folder if model else None
    if folder is None or not folder.is_relative_to(Path(pipeline.__file__).parent):
        return ()
    return tuple((path.relative_to(folder).as_posix(), ray.put(path.read_bytes())) for path in folder.rglob(WEIGHTS))


def take(name: str, weights: tuple[tuple[str, Any], ...]) -> None:
    """Write the offered weight files that this node's copy of the package lacks.

    Raises:
        JobError: they cannot be written.
    """
    folder = look_up(name).folder
    for relative, reference in weights:
        if folder is None or (folder / relative).is_file():
            continue
        path = folder / relative
        scratch = path.with_name(f"{path.name}.{os.getpid()}")  # several actors of a node may do this at once
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(ray.get(reference))
            scratch.replace(path)
        except OSError as error:
            raise JobError(
                f"The weights of {name} cannot be written on {os.uname().nodename}: {error}.", code="environment"
            ) from error
