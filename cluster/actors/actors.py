"""The Ray actor that holds parts of a model and computes; `job_actor` fetches and finishes for jobs.

Each call returns its payload (large: stays in the object store until another actor asks for it) and a `Report`
(small: all that the driver reads). Calls run out of order with a lock around the compute, so that one whose input is
late holds up nobody and transfers overlap compute. What is wrong with a request comes back inside the report; an
exception that leaves a call is a bug of ours.
"""

import gc
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pressrun.cluster.actors.batch import batches_of
from pressrun.cluster.actors.packaged_weights import take
from pressrun.cluster.placement.layout import CPU_THREADS
from pressrun.cluster.protocol.batch_limits import BatchLimits, no_room
from pressrun.cluster.protocol.packed_tensor import PackedTensor, pack, unpack
from pressrun.cluster.protocol.spec import ModelSpec
from pressrun.cluster.protocol.unit import Report, Unit
from pressrun.pipeline.errors import JobError, Reason, RequestError
from pressrun.pipeline.families.family import family_of
from pressrun.pipeline.memory import attempt
from pressrun.pipeline.models.catalogue import Model, find_model, model_digest
from pressrun.pipeline.redaction import without_folders

if TYPE_CHECKING:
    from pressrun.pipeline.families.family import Renderer, Sampling


class ModelActor:
    """Holds the parts of one model that its stages need."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._compute = threading.Lock()
        self._room = BatchLimits()
        self._problem: str = ""
        self._device = spec.device
        try:
            self._device = device_name(spec)
            self._renderer = load_renderer(spec)
        except JobError as error:  # a value, not an exception: see `ready`
            self._problem = Reason(without_folders(str(error)), error.code)

    def ready(self) -> tuple[str, ...]:
        """Answers once the model is loaded: the device as the results record it, what is wrong, if anything, and on
        which node it is."""
        return self._device, self._problem, node_here()

    def encode_prompts(self, prompts: list[str]) -> tuple[Any, ...]:
        """One embedding (L, D) per prompt, then the report; one that cannot be encoded gives None and a failure."""
        failures: dict[int, tuple[str, str]] = {}
        embeddings: list[PackedTensor | None] = []
        with self._timed("encode", failures) as report:
            for place, prompt in enumerate(prompts):
                packed = None
                try:
                    packed = attempt(self._embedding, prompt)
                    if packed is None:
                        failures[place] = no_room(self._spec, self._device, "encode a prompt")
                except RequestError as error:
                    failures[place] = (error.code, error.message)
                embeddings.append(packed)
        sizes = tuple(0 if packed is None else packed.data.nbytes for packed in embeddings)
        return (*embeddings, report(sizes=sizes))

    def _embedding(self, prompt: str) -> PackedTensor:
        return pack(self._renderer.encode_prompt(prompt))

    def encode_reference(self, pixels: np.ndarray) -> tuple[PackedTensor | None, Report]:
        """The latents (tokens, C) of a reference's pixels (H, W, 3), uint8."""
        failures: dict[int, tuple[str, str]] = {}
        with self._timed("encode", failures) as report:
            packed = attempt(self._tokens, pixels)
            if packed is None:
                failures[0] = no_room(self._spec, self._device, "encode a reference")
        return packed, report(sizes=(0 if packed is None else packed.data.nbytes,))

    def _tokens(self, pixels: np.ndarray) -> PackedTensor:
        tokens, _ = self._renderer.encode_pixels(pixels)
        return pack(tokens)

    def denoise(self, unit: Unit, *inputs: PackedTensor) -> tuple[PackedTensor | None, Report]:
        """Latents (B, tokens, C) of the unit, in batches that fit; for `inputs` see `cluster.actors.batch`."""
        # While the unit before may still be computed: noise is drawn, and what the first step needs is on its way.
        fitted = self._room.fitted(self._device, unit)
        early = [(fitted.batch, attempt(self._prepared, fitted, inputs))]

        def latents(sized: Unit) -> PackedTensor:
            batch, prepared = early.pop() if early else (0, None)
            if prepared is None or batch != sized.batch:
                prepared = self._prepared(sized, inputs)
            return self._latents(sized, prepared)

        failures: dict[int, tuple[str, str]] = {}
        with self._timed("denoise", failures) as report:
            packed, batch = self._room.most(self._device, unit, latents)
            if packed is None:
                failures[0] = no_room(self._spec, self._device, "denoise a picture", unit.shape)
        return packed, report(batch=batch)

    def _prepared(self, unit: Unit, inputs: Sequence[PackedTensor]) -> list["Sampling"]:
        """A unit's batches before their first step."""
        tensors = [unpack(packed, self._spec.device) for packed in inputs]
        return [self._renderer.prepare(*batch) for batch in batches_of(unit, tensors, self._spec.device)]

    def _latents(self, unit: Unit, prepared: Sequence["Sampling"]) -> PackedTensor:
        import torch

        assert self._renderer.transformer
        latents = torch.cat([sampling.finish(self._renderer.transformer) for sampling in prepared])
        return pack(latents[: len(unit.items)])

    def decode(self, unit: Unit, packed: PackedTensor) -> tuple[list[np.ndarray] | None, Report]:
        """Pixels (H, W, 3) uint8 of each item, decoded one by one."""
        failures: dict[int, tuple[str, str]] = {}
        with self._timed("decode", failures) as report:
            pixels = attempt(self._pixels, unit, packed)
            if pixels is None:
                failures[0] = no_room(self._spec, self._device, "decode a picture", unit.shape)
        return pixels, report()

    def _pixels(self, unit: Unit, packed: PackedTensor) -> list[np.ndarray]:
        latents = unpack(packed, self._spec.device)  # (B, tokens, C)
        return [self._renderer.decode(one, item.request) for one, item in zip(latents, unit.items, strict=True)]

    @contextmanager
    def _timed(self, stage: str, failures: dict[int, tuple[str, str]]) -> Iterator[Any]:
        """Holds the compute lock and yields a function that makes the report once the work is done."""
        with self._compute:
            started = time.time()
            ended: list[float] = []

            def report(**more: Any) -> Report:
                return Report(stage, started, ended[0], self._device, os.getpid(), failures=failures, **more)

            try:
                yield report
            finally:
                ended.append(time.time())


def node_here() -> str:
    """Ray's name of the node that this process is on; "" outside of Ray, which asking would start."""
    import ray

    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""


def load_renderer(spec: ModelSpec) -> "Renderer":
    """The model's parts on this node.

    Raises:
        JobError: this node has no such model, or another one under the same name.
    """
    model = checked_model(spec)
    with without_collector():
        family = family_of(model)
        family.prepare()
    return family.load(model, spec.precision, spec.device, spec.stages, CPU_THREADS, spec.compiled)


def checked_model(spec: ModelSpec) -> Model:
    """The model that this node has under the spec's name.

    Raises:
        JobError: it has none, or another one.
    """
    take(spec.model, spec.weights)
    model = find_model(spec.model)
    if model_digest(model) != spec.digest:
        raise JobError(
            f"The model {spec.model} on node {os.uname().nodename} is not the one that the driver has; "
            "put the same files on every node.",
            code="damaged_model",
        )
    return model


@contextmanager
def without_collector() -> Iterator[None]:
    """Imports of PyTorch and diffusers make millions of objects and no garbage: without the collector looking through
    them again and again they take a sixth less (measured: 5.0 CPU seconds instead of 5.9)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def device_name(spec: ModelSpec) -> str:
    """Kind of device, torch build and whether blocks are compiled: what pixels may depend on, as the results record it.

    Raises:
        JobError: PyTorch cannot use the GPU, or the precision cannot be had.
    """
    import torch

    from pressrun.pipeline.models.quantisation import library

    if spec.device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise JobError(
                f"Ray found a GPU on {os.uname().nodename}, but its PyTorch {torch.__version__} cannot use it; "
                "install the build for its CUDA, or hide the GPU (CUDA_VISIBLE_DEVICES=).",
                code="cluster",
            )
        kind = torch.cuda.get_device_name(torch.device(spec.device))
    else:
        kind = f"cpu {torch.backends.cpu.get_cpu_capability()}"
    build, how = f"torch {torch.__version__}", "compiled" if spec.compiled else ""
    return ", ".join(filter(None, [kind, build, library(spec.precision), how]))
