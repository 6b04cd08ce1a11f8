"""A replica of several shards: actors that hold a block range of the transformer each, and the leader that calls them.

A unit's hidden states go from shard to shard as objects that the leader only names; what it reads are the calls'
times. It keeps several units under way, so that a shard computes one while the next shard has another. The leader
owns its shards: when it ends, they end. One of them lost is the whole replica lost.
"""

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import ray

from cluster.actors import checked_model, device_name, node_here
from cluster.batch import batches_of, parts_of
from cluster.layout import CPU_THREADS
from cluster.losses import is_loss, sentence
from cluster.room import Room, no_room
from cluster.spec import ModelSpec
from cluster.store import adopt_environment
from cluster.unit import Report, ShardCall, Unit
from cluster.wire import PackedTensor, joined, pack, unpack
from pipeline.errors import JobError
from pipeline.memory import attempt, is_out_of_memory
from pipeline.redaction import without_folders

if TYPE_CHECKING:
    from pipeline.sampling import Sampling
    from pipeline.transformer import Stream, Terms

P = ParamSpec("P")
T = TypeVar("T")

UNITS_PER_SHARD = 2
"""Units that a replica has under way for each of its shards: one computes, another's tensors travel."""


@dataclass(frozen=True)
class Crossing:
    """What goes from one shard to the next: the step's terms, and a stream for each of its passes."""

    terms: "Terms"
    streams: tuple[tuple[PackedTensor, ...], ...]


class ShardActor:
    """Holds one block range of a transformer. The first of a replica also holds the state of the units under way."""

    def __init__(self, spec: ModelSpec, number: int, shards: int) -> None:
        adopt_environment(spec.environment)
        self._spec, self._number = spec, number
        self._compute = threading.Lock()
        self._samplings: dict[int, tuple[Sampling, int]] = {}
        self._device, self._problem = spec.device, ""
        try:
            self._device = device_name(spec)
            self._load(shards)
        except JobError as error:  # a value, not an exception: see `ready`
            self._problem = without_folders(str(error))

    def _load(self, shards: int) -> None:
        import torch

        from pipeline.footprint import cut
        from pipeline.sampling import Schedule
        from pipeline.transformer import Transformer, block_count

        torch.set_num_threads(CPU_THREADS)
        model = checked_model(self._spec)
        blocks = cut(block_count(model), shards)[self._number]
        self._transformer = Transformer.load(model, self._spec.precision, self._spec.device, blocks)
        if self._spec.compiled:
            self._transformer.compile()
        self._schedule = Schedule.load(model)

    def ready(self) -> tuple[str, ...]:
        """As a model actor's."""
        return self._device, self._problem, node_here()

    def begin(self, ticket: int, unit: Unit, *inputs: PackedTensor) -> tuple[Crossing, ShardCall]:
        """The first step, in the first shard, of a unit of one batch; `ticket` names it from here on. Like the other
        calls it raises MemoryError where memory ran out over it, and nothing of it is left."""
        with self._compute:
            started = time.time()
            return _fitting(self._begun, ticket, unit, inputs), self._call(started)

    def _begun(self, ticket: int, unit: Unit, inputs: Sequence[PackedTensor]) -> Crossing:
        from pipeline.sampling import Sampling

        tensors = [unpack(packed, self._spec.device) for packed in inputs]
        [batch] = batches_of(unit, tensors, self._spec.device)
        sampling = Sampling(self._transformer, self._schedule, *batch)
        crossing = self._first_blocks(sampling)
        self._samplings[ticket] = sampling, len(unit.items)
        return crossing

    def through(self, crossing: Crossing) -> tuple[Crossing, ShardCall]:
        """A step's passes in this shard's blocks."""
        with self._compute:
            started = time.time()
            return _fitting(self._passed, crossing), self._call(started)

    def _passed(self, crossing: Crossing) -> Crossing:
        streams = [self._transformer.run(stream, crossing.terms) for stream in self._unpacked(crossing)]
        return Crossing(crossing.terms, _packed(streams))

    def advance(self, ticket: int, crossing: Crossing) -> tuple[Crossing | PackedTensor, ShardCall]:
        """In the first shard: take the step along what the last one gave, and begin the next; behind the last step the
        unit's latents (B, tokens, C), and the ticket is forgotten."""
        with self._compute:
            started = time.time()
            return _fitting(self._advanced, ticket, crossing), self._call(started)

    def _advanced(self, ticket: int, crossing: Crossing) -> Crossing | PackedTensor:
        sampling, rows = self._samplings[ticket]
        sampling.advance(self._unpacked(crossing))
        if sampling.terms() is not None:
            return self._first_blocks(sampling)
        del self._samplings[ticket]
        return pack(sampling.latents[:rows])

    def forget(self, ticket: int) -> None:
        """In the first shard: a unit that has failed on its way."""
        with self._compute:
            self._samplings.pop(ticket, None)

    def _first_blocks(self, sampling: "Sampling") -> Crossing:
        terms = sampling.terms()
        assert terms is not None, "a shape has at least one step"
        return Crossing(terms, _packed([self._transformer.run(stream, terms) for stream in sampling.streams()]))

    def _unpacked(self, crossing: Crossing) -> list["Stream"]:
        return [tuple(unpack(part, self._spec.device) for part in stream) for stream in crossing.streams]

    def _call(self, started: float) -> ShardCall:
        return ShardCall(self._number, started, time.time())


def _fitting(compute: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `compute` gives. Raises MemoryError where memory ran out over it: an error that keeps no tensor alive."""
    made = attempt(compute, *arguments, **options)
    if made is None:
        raise MemoryError("a unit does not fit this shard's device")
    return made


def _packed(streams: Sequence["Stream"]) -> tuple[tuple[PackedTensor, ...], ...]:
    return tuple(tuple(pack(part) for part in stream) for stream in streams)


class Leader:
    """Takes units through a replica's shards. Async, without a device; answers as a model actor that denoises."""

    shard: type = ShardActor

    def __init__(self, spec: ModelSpec, gpus: float, places: Sequence[Any]) -> None:
        """`places` are Ray's scheduling strategies, one for each shard."""
        actor: Any = ray.remote(self.shard)
        options = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": UNITS_PER_SHARD}
        options |= {"max_restarts": 0, "max_task_retries": 0}
        self._shards: list[Any] = [
            actor.options(**options, scheduling_strategy=where).remote(spec, number, len(places))
            for number, where in enumerate(places)
        ]
        self._tickets = itertools.count()
        self._spec, self._device, self._room = spec, spec.device, Room()

    async def ready(self) -> tuple[str, ...]:
        """Answers once all shards are loaded: their device, what is wrong with the first that cannot work, and the
        nodes that the replica depends on."""
        answers = await asyncio.gather(*[shard.ready.remote() for shard in self._shards])
        self._device = answers[0][0]
        nodes = dict.fromkeys([node_here(), *(node for _, _, node in answers)])
        return self._device, next((problem for _, problem, _ in answers if problem), ""), *nodes

    async def denoise(self, unit: Unit, inputs: list[Any]) -> tuple[PackedTensor | None, Report]:
        """Latents (B, tokens, C) of the unit, in batches that fit. `inputs` are references to objects, which travel to
        the first shard and never come here; see `cluster.batch`."""
        started, calls = time.time(), list[ShardCall]()
        try:
            latents, batch = await self._most(unit, inputs, calls)
        except ray.exceptions.RayError as error:
            if not is_loss(error):
                raise
            return None, self._report(started, lost=f"one of its shards: {sentence(error)}")
        failure = no_room(self._spec, self._device, "denoise a picture", unit.shape)
        failures = {0: failure} if latents is None else {}
        return latents, self._report(started, calls=tuple(calls), batch=batch, failures=failures)

    async def _most(self, unit: Unit, inputs: list[Any], calls: list[ShardCall]) -> tuple[PackedTensor | None, int]:
        """As `Room.most`, over calls that others compute."""
        while True:
            sized = self._room.fitted(self._device, unit)
            try:
                parts = [await self._steps(part, own, calls) for part, own in parts_of(sized, inputs)]
            except ray.exceptions.RayTaskError as error:
                if not is_out_of_memory(error.cause):
                    raise
            else:
                return joined(parts), sized.batch
            if sized.batch == 1:
                return None, 0
            self._room.remember(self._device, sized, sized.batch // 2)

    async def _steps(self, unit: Unit, inputs: list[Any], calls: list[ShardCall]) -> PackedTensor:
        """One batch from its first step to its last. Adds to `calls`."""
        first, *others = self._shards
        ticket = next(self._tickets)
        try:
            crossing, report = first.begin.options(num_returns=2).remote(ticket, unit, *inputs)
            reports = [report]
            for _ in range(unit.shape.steps):
                for shard in others:
                    crossing, report = shard.through.options(num_returns=2).remote(crossing)
                    reports.append(report)
                crossing, report = first.advance.options(num_returns=2).remote(ticket, crossing)
                calls += await asyncio.gather(*reports, report)
                reports = []
            return await crossing
        except ray.exceptions.RayTaskError:
            await first.forget.remote(ticket)
            raise

    def _report(self, started: float, **more: Any) -> Report:
        return Report("denoise", started, time.time(), self._device, os.getpid(), **more)
