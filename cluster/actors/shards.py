"""A replica of several shards: actors that hold a block range of the transformer each, and the leader that calls them.

A unit's hidden states go from shard to shard as objects that the leader only names: through the object store, or from
device to device (`cluster.actors.transport`). It keeps several units under way, so that a shard computes one while the
next shard has another. The leader owns its shards: when it ends, they end. One of them lost is the whole replica lost.
"""

import asyncio
import itertools
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import ray

from pressrun.cluster.actors.actors import checked_model, device_name, node_here
from pressrun.cluster.actors.batch import batches_of, parts_of
from pressrun.cluster.actors.transport import connected, settle, transport_of
from pressrun.cluster.placement.layout import CPU_THREADS
from pressrun.cluster.protocol.batch_limits import BatchLimits, no_room
from pressrun.cluster.protocol.packed_tensor import PackedTensor, joined, pack, unpack
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Report, ShardCall, Unit
from pressrun.cluster.runtime.ray_errors import is_loss, sentence
from pressrun.pipeline.errors import JobError, Reason
from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.memory import attempt, is_out_of_memory
from pressrun.pipeline.redaction import without_folders

if TYPE_CHECKING:
    import torch

    from pressrun.pipeline.families.family import HiddenStates, ShardSampling

P = ParamSpec("P")
T = TypeVar("T")

UNITS_PER_SHARD = 2
"""Units that a replica has under way for each of its shards: one computes, another's tensors travel."""


@dataclass(frozen=True)
class IntermediateTensors:
    """What goes from one shard to the next: the unit's ticket, the step's terms, and a stream for each of its passes.
    `direct` tensors are on the sender's device, and Ray brings them to the receiver's; others are packed."""

    ticket: int
    direct: bool
    terms: Any
    streams: "tuple[tuple[PackedTensor, ...], ...] | tuple[HiddenStates, ...]"


class ShardActor:
    """Holds one block range of a transformer. The first of a replica also holds the state of the units under way."""

    def __init__(self, spec: ModelSpec, number: int, shards: int) -> None:
        self._spec, self._number = spec, number
        self._compute = threading.Lock()
        self._samplings: dict[int, tuple[ShardSampling, int]] = {}
        self._calls: defaultdict[int, list[ShardCall]] = defaultdict(list)
        self._device = spec.device
        self._problem: str = ""
        try:
            self._device = device_name(spec)
            self._load(shards)
        except JobError as error:  # a value, not an exception: see `ready`
            self._problem = Reason(without_folders(str(error)), error.code)

    def _load(self, shards: int) -> None:
        import torch

        torch.set_num_threads(CPU_THREADS)
        model = checked_model(self._spec)
        family = family_of(model)
        self._shard = family.load_shard(model, self._spec.precision, self._spec.device, self._number, shards)
        if self._spec.compiled:
            self._shard.compile()

    def ready(self) -> tuple[str, ...]:
        """As a model actor's."""
        return self._device, self._problem, node_here()

    def begin(self, ticket: int, direct: bool, unit: Unit, *inputs: PackedTensor) -> IntermediateTensors:
        """The first step, in the first shard, of a unit of one batch; `ticket` names it from here on. Like the other
        calls it raises MemoryError where memory ran out over it, and nothing of it is left."""
        return self._timed(ticket, self._begun, ticket, direct, unit, inputs)

    def _begun(self, ticket: int, direct: bool, unit: Unit, inputs: Sequence[PackedTensor]) -> IntermediateTensors:
        tensors = [unpack(packed, self._spec.device) for packed in inputs]
        [batch] = batches_of(unit, tensors, self._spec.device)
        sampling = self._shard.begin(*batch)
        crossing = self._first_blocks(ticket, direct, sampling)
        self._samplings[ticket] = sampling, len(unit.items)
        return crossing

    def through(self, crossing: IntermediateTensors) -> IntermediateTensors:
        """A step's passes in this shard's blocks."""
        return self._timed(crossing.ticket, self._passed, crossing)

    def _passed(self, crossing: IntermediateTensors) -> IntermediateTensors:
        streams = [self._shard.run(stream, crossing.terms) for stream in self._unpacked(crossing)]
        return self._crossing(crossing.ticket, crossing.direct, crossing.terms, streams)

    def advance(self, crossing: IntermediateTensors) -> IntermediateTensors | PackedTensor:
        """In the first shard: take the step along what the last one gave, and begin the next; behind the last step the
        unit's latents (B, tokens, C)."""
        return self._timed(crossing.ticket, self._advanced, crossing)

    def _advanced(self, crossing: IntermediateTensors) -> IntermediateTensors | PackedTensor:
        sampling, rows = self._samplings[crossing.ticket]
        sampling.advance(self._unpacked(crossing))
        if sampling.terms() is not None:
            return self._first_blocks(crossing.ticket, crossing.direct, sampling)
        return pack(sampling.latents[:rows])

    def forget(self, ticket: int) -> list[ShardCall]:
        """A unit that is done, or has failed on its way: what this shard computed of it, and when."""
        with self._compute:
            self._samplings.pop(ticket, None)
            return self._calls.pop(ticket, [])

    def _first_blocks(self, ticket: int, direct: bool, sampling: "ShardSampling") -> IntermediateTensors:
        terms = sampling.terms()
        assert terms is not None, "a shape has at least one step"
        streams = [self._shard.run(stream, terms) for stream in sampling.streams()]
        return self._crossing(ticket, direct, terms, streams)

    def _crossing(
        self, ticket: int, direct: bool, terms: Any, streams: Sequence["HiddenStates"]
    ) -> IntermediateTensors:
        if direct:
            settle(self._spec.device)
            return IntermediateTensors(ticket, direct, terms, tuple(streams))
        return IntermediateTensors(
            ticket, direct, terms, tuple(tuple(pack(part) for part in stream) for stream in streams)
        )

    def _unpacked(self, crossing: IntermediateTensors) -> list["HiddenStates"]:
        if crossing.direct:
            settle(self._spec.device)
        return [tuple(self._here(part) for part in stream) for stream in crossing.streams]

    def _here(self, part: "PackedTensor | torch.Tensor") -> "torch.Tensor":
        return unpack(part, self._spec.device) if isinstance(part, PackedTensor) else part

    def _timed(self, ticket: int, compute: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        with self._compute:
            started = time.time()
            made = _fitting(compute, *arguments, **options)
            self._calls[ticket].append(ShardCall(self._number, started, time.time()))
            return made


def _fitting(compute: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `compute` gives. Raises MemoryError where memory ran out over it: an error that keeps no tensor alive."""
    made = attempt(compute, *arguments, **options)
    if made is None:
        raise MemoryError("a unit does not fit this shard's device")
    return made


class Leader:
    """Takes units through a replica's shards. Async, without a device; answers as a model actor that denoises."""

    shard: type = ShardActor
    transport: str | None = None
    """How tensors go from shard to shard, as Ray names it; None: the best that there is, "": the object store."""

    def __init__(self, spec: ModelSpec, gpus: float, places: Sequence[Any]) -> None:
        """`places` are Ray's scheduling strategies, one for each shard."""
        self._transport = transport_of(spec.device, gpus) if self.transport is None else self.transport
        options: dict[str, Any] = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": UNITS_PER_SHARD}
        options |= {"max_restarts": 0, "max_task_retries": 0, "enable_tensor_transport": bool(self._transport)}
        actor: Any = ray.remote(**options)(self.shard)
        self._shards: list[Any] = [
            actor.options(scheduling_strategy=where).remote(spec, number, len(places))
            for number, where in enumerate(places)
        ]
        self._waiting = ThreadPoolExecutor(UNITS_PER_SHARD * len(places))
        self._tickets = itertools.count()
        self._spec, self._device, self._room = spec, spec.device, BatchLimits()

    async def ready(self) -> tuple[str, ...]:
        """Answers once all shards are loaded: their device, what is wrong with the first that cannot work, and the
        nodes that the replica depends on."""
        answers = await asyncio.gather(*[shard.ready.remote() for shard in self._shards])
        self._device = answers[0][0]
        if self._transport and not await self._in_a_thread(connected, self._shards, self._transport):
            self._transport = ""
        nodes = dict.fromkeys([node_here(), *(node for _, _, node in answers)])
        return self._device, next((problem for _, problem, _ in answers if problem), ""), *nodes

    async def denoise(self, unit: Unit, inputs: list[Any]) -> tuple[PackedTensor | None, Report]:
        """Latents (B, tokens, C) of the unit, in batches that fit. `inputs` are references to objects, which travel to
        the first shard and never come here; see `cluster.actors.batch`."""
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
        """As `BatchLimits.most`, over calls that others compute."""
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
        ticket, there = next(self._tickets), {"tensor_transport": self._transport} if self._transport else {}
        try:
            crossing = first.begin.options(**there).remote(ticket, bool(there), unit, *inputs)
            for left in reversed(range(unit.shape.steps)):
                for shard in others:
                    crossing = shard.through.options(**there).remote(crossing)
                crossing = first.advance.options(**(there if left else {})).remote(crossing)
                # Until it is computed, and no longer: what it holds stays where it is.
                await self._in_a_thread(ray.wait, [crossing], fetch_local=False)
            latents: PackedTensor = await crossing
            return latents
        finally:
            calls += await self._forgotten(ticket)

    async def _forgotten(self, ticket: int) -> list[ShardCall]:
        """What the shards computed of a unit, of those that are still there; they keep nothing of it."""
        answers = await asyncio.gather(*[s.forget.remote(ticket) for s in self._shards], return_exceptions=True)
        return [call for answer in answers if not isinstance(answer, BaseException) for call in answer]

    async def _in_a_thread(self, call: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._waiting, partial(call, *arguments, **options))

    def _report(self, started: float, **more: Any) -> Report:
        return Report("denoise", started, time.time(), self._device, os.getpid(), **more)
