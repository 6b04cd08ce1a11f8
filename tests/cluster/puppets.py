"""Actors without a model, which misbehave on purpose: a prompt says what they do."""

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from pressrun.cluster.actors.actors import node_here
from pressrun.cluster.actors.shards import Leader
from pressrun.cluster.protocol.batch_limits import OUT_OF_MEMORY
from pressrun.cluster.protocol.packed_tensor import PackedTensor
from pressrun.cluster.protocol.unit import Item, Outcome, Reference, Report, ShardCall, Unit
from pressrun.pipeline.families.shape import Shape
from pressrun.pipeline.request import RenderRequest

SHAPE = Shape(64, 64, 1, 1.0, 0, 8, False)


def report(stage: str, **more: Any) -> Report:
    now = time.time()
    return Report(stage, now, now, "cpu", os.getpid(), **more)


class Puppet:
    """A model actor without a model: a prompt says what it does."""

    def __init__(self, problem: str = "") -> None:
        self._problem = problem

    def ready(self) -> tuple[str, ...]:
        return "cpu", self._problem, node_here()

    def encode_prompts(self, prompts: list[str]) -> tuple[Any, ...]:
        if "encode crash" in prompts:
            os._exit(1)
        failures = {place: ("prompt_too_long", "Too long.") for place, prompt in enumerate(prompts) if prompt == "long"}
        if "no room to encode" in prompts:
            failures[prompts.index("no room to encode")] = (OUT_OF_MEMORY, f"Beside {len(prompts) - 1} others.")
        return (*[np.zeros(4) for _ in prompts], report("encode", sizes=(32,) * len(prompts), failures=failures))

    def fetch(self, job: Any, reference: Reference) -> tuple[Any, Report]:
        if reference.uri.startswith("gone"):
            return None, report("fetch", failures={0: ("reference_missing", f"{reference.uri} is gone.")})
        return np.zeros(4), report("fetch")

    def encode_reference(self, pixels: Any) -> tuple[Any, Report]:
        return np.zeros(4), report("encode", sizes=(32,))

    def denoise(self, unit: Unit, *inputs: Any) -> tuple[Any, Report]:
        prompts = [item.request.prompt for item in unit.items]
        assert len(inputs) == len(prompts) + sum(len(item.references) for item in unit.items)
        if "crash" in prompts:
            os._exit(1)
        if "hang" in prompts:
            time.sleep(600)
        if "slow" in prompts:
            time.sleep(0.3)
        if "six seconds" in prompts:
            time.sleep(6)
        if "bug" in prompts:
            raise ZeroDivisionError("division by zero")
        if ("large" in prompts and len(prompts) > 1) or "too large" in prompts:
            raise MemoryError
        if "no room" in prompts:
            return None, report("denoise", batch=0, failures={0: (OUT_OF_MEMORY, "It does not fit.")})
        return np.zeros(4), report("denoise", batch=min(unit.batch, 2) if "tight" in prompts else unit.batch)

    def decode(self, unit: Unit, latents: Any) -> tuple[Any, Report]:
        if unit.items[0].request.prompt == "no room to decode":
            return None, report("decode", failures={0: (OUT_OF_MEMORY, "It does not fit.")})
        return np.zeros(4), report("decode")

    def finish(self, job: Any, unit: Unit, device: str, pixels: Any) -> Report:
        if unit.items[0].request.prompt == "full disk":
            return report("finish", storage_error="no space left")
        done = tuple(Outcome(item.row, item.request.custom_id, "succeeded") for item in unit.items)
        return report("finish", outcomes=done)


class PuppetShard:
    """A shard without blocks, for units of one step: the first keeps tickets, the second does what a prompt says."""

    def __init__(self, spec: Any, number: int, shards: int) -> None:
        self._number, self._tickets = number, set[int]()

    def ready(self) -> tuple[str, ...]:
        return "cpu", "", node_here()

    def begin(self, ticket: int, direct: bool, unit: Unit, *inputs: Any) -> tuple[int, list[str]]:
        prompts = [item.request.prompt for item in unit.items]
        assert "alone" not in prompts or not self._tickets, "units that ended long ago are still kept"
        self._tickets.add(ticket)
        return ticket, prompts

    def through(self, crossing: tuple[int, list[str]]) -> tuple[int, list[str]]:
        _, prompts = crossing
        if "crash" in prompts:
            os._exit(1)
        if "bug" in prompts:
            raise ZeroDivisionError("division by zero")
        if len(prompts) > 2 * ("tight" in prompts) + 8 * ("tight" not in prompts) or "no room" in prompts:
            raise MemoryError
        return crossing

    def advance(self, crossing: tuple[int, list[str]]) -> PackedTensor:
        rows = len(crossing[1])
        return PackedTensor(np.full(rows, rows, np.uint8), "uint8", (rows,))

    def forget(self, ticket: int) -> list[ShardCall]:
        self._tickets.discard(ticket)
        return [ShardCall(self._number, time.time(), time.time())]


class PuppetsLeader(Leader):
    """The real leader, of two such shards."""

    shard = PuppetShard


def units(*prompts: list[str]) -> Iterator[Unit]:
    row = 0
    for index, some in enumerate(prompts):
        items = []
        for prompt in some:
            request = RenderRequest(f"{prompt}-{row}", prompt, 64, 64, 1, 1.0, 0)
            references = (Reference("mug.png", "f00d", (4, 4)),) * prompt.count("image")
            if prompt.startswith("at "):
                references = (Reference(prompt.removeprefix("at "), "cafe", (4, 4)),)
            items.append(Item(row, request, f"images/{row}.png", "key", "finish", references))
            row += 1
        yield Unit(index, SHAPE, tuple(items), batch=len(items))
