"""What the GPU benchmark measures of a case, each as a dictionary of figures; all of it through our own renderer."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import Flux2KleinPipeline
from PIL import Image

from pressrun.cluster.actors.finisher import Finisher
from pressrun.cluster.protocol.spec import Finishing
from pressrun.cluster.protocol.unit import Item
from pressrun.cluster.store.opening import Place
from pressrun.pipeline.families.flux2.footprint import footprint_of
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.sampling import Reference
from pressrun.pipeline.finishing.spec import FinishingSpec
from pressrun.pipeline.models.quantisation import held_bytes
from pressrun.pipeline.request import RenderRequest
from tests.bench.gpu_cases import OFTEN, STEPS, Case
from tests.bench.gpu_profile import profiled
from tests.bench.gpu_rates import Rates, predicted_seconds, product_seconds, synchronise
from tests.bench.operations import Work, work_of
from tests.bench.random_model import embedding_width
from tests.opening import open_store

FINISHERS = 8
"""Threads that finish, as many as a finishing actor has."""


class Bench:
    """A renderer on a device, and a case's inputs for it. `often` are the seconds for which a thing is repeated."""

    def __init__(self, renderer: Renderer, case: Case, device: torch.device, rates: Rates, often: float = OFTEN):
        self.renderer, self.case, self.device, self.rates, self.often = renderer, case, device, rates, often
        model = renderer.model
        assert renderer.transformer and renderer.autoencoder
        size = (case.side, case.side, STEPS, model.guidance)
        self.requests = [
            RenderRequest(f"row-{row}", f"a red mug {row}", *size, seed=row + 1) for row in range(case.rows)
        ]
        generator = torch.Generator().manual_seed(0)
        words = (case.rows, model.text_length, embedding_width(model))
        drawn = torch.randn(words, generator=generator).to(renderer.transformer.dtype)
        self.embeddings = list(drawn.to(device))
        side, rng = int(model.reference_pixels**0.5), np.random.default_rng(0)
        self.pictures = [rng.integers(0, 256, (side, side, 3), np.uint8) for _ in range(case.references)]
        self.references = self.encoded()
        self.shape = case.shape(model)
        self.work: Work = work_of(model, embedding_width(model), self.shape, case.rows)

    def encoded(self) -> list[Reference]:
        """Each row's references, encoded."""
        return [self.renderer.encode_pixels(picture) for picture in self.pictures]

    def denoise(self, rows: list[int] | None = None) -> torch.Tensor:
        """Latents of the unit, or of some of its rows."""
        rows = list(range(self.case.rows)) if rows is None else rows
        requests, embeddings = [self.requests[row] for row in rows], [self.embeddings[row] for row in rows]
        return self.renderer.denoise(requests, embeddings, [self.references] * len(rows))

    def whole(self) -> list[np.ndarray]:
        """The unit's pictures, its references encoded first."""
        self.references = self.encoded()
        return [self.renderer.decode(*row) for row in zip(self.denoise(), self.requests, strict=True)]

    def timed(self, work: Callable[[], Any], least: int = 3) -> dict[str, float]:
        """Median and spread of seconds, of as many runs as `often` allows, `least` or more, after one not counted."""
        work()
        taken: list[float] = []
        while len(taken) < least or (sum(taken) < self.often and len(taken) < 30):
            synchronise(self.device)
            started = time.perf_counter()
            work()
            synchronise(self.device)
            taken.append(time.perf_counter() - started)
        return {"median": statistics.median(taken), "least": min(taken), "most": max(taken), "runs": len(taken)}


def measure_picture(bench: Bench) -> dict[str, Any]:
    """Seconds of a unit's stages, what the device achieves, and bytes."""
    case, renderer = bench.case, bench.renderer
    assert renderer.transformer and renderer.autoencoder
    started = time.perf_counter()
    bench.denoise()
    synchronise(bench.device)
    found: dict[str, Any] = {"first": time.perf_counter() - started}
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
        before = torch.cuda.memory_allocated(bench.device)
    denoise = found["denoise"] = bench.timed(bench.denoise)
    if bench.device.type == "cuda":
        found["denoise_bytes"] = torch.cuda.max_memory_allocated(bench.device) - before
    found["held_bytes"] = held_bytes(renderer.transformer.network)
    if case.model != "tiny" and (footprint := footprint_of(renderer.model)):
        found["expected_held_bytes"] = footprint.weights(("denoise",), case.precision)
        found["expected_bytes"] = footprint.activations(("denoise",), bench.shape, case.rows, case.precision)
    found["whole"] = bench.timed(bench.whole)
    seconds = denoise["median"]
    found["operations"] = bench.work.operations
    found["flops_per_second"] = bench.work.operations / seconds
    found["share"] = product_seconds(bench.work, bench.rates, case.precision) / seconds
    found["predicted"] = predicted_seconds(bench.work, bench.rates, case.precision, case.compiled)
    if case.peer:
        found["peer"] = measure_peer(bench)
    return found


def measure_peer(bench: Bench) -> dict[str, Any]:
    """diffusers' own pipeline with the same weights, prompts as embeddings like ours, and one set of references."""
    renderer, case = bench.renderer, bench.case
    assert renderer.transformer and renderer.autoencoder and renderer.schedule
    pipeline = Flux2KleinPipeline(
        scheduler=renderer.schedule.start(case.side**2 // 256, STEPS, bench.device),
        vae=renderer.autoencoder.network,
        text_encoder=None,
        tokenizer=None,
        transformer=renderer.transformer.network,
        is_distilled=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    pictures = [Image.fromarray(picture) for picture in bench.pictures]

    def run(output: str) -> Any:
        return pipeline(
            image=pictures or None,
            prompt_embeds=torch.stack(bench.embeddings),
            height=case.side,
            width=case.side,
            num_inference_steps=STEPS,
            guidance_scale=1.0,
            generator=[torch.Generator().manual_seed(request.seed) for request in bench.requests],
            output_type=output,
        ).images

    return {"denoise": bench.timed(lambda: run("latent")), "whole": bench.timed(lambda: run("pil"))}


def measure_profile(bench: Bench) -> dict[str, Any]:
    """When no kernel runs, and who waits."""
    bench.denoise()
    return profiled(bench.denoise, bench.device, bench.timed(bench.denoise)["median"])


def measure_pixels(bench: Bench) -> dict[str, Any]:
    """Whether a row's latents and pixels are the same however it is rendered, and what each way costs."""
    rows = list(range(bench.case.rows))
    unit = bench.denoise()
    ways = {
        "again": bench.denoise()[0],
        "alone": bench.denoise([0])[0],
        "at another place": bench.denoise(rows[::-1])[-1],
        "beside others": bench.denoise([0, *([rows[-1]] * (len(rows) - 1))])[0],
        "padded with itself": bench.denoise([0] * len(rows))[0],
    }
    request = bench.requests[0]
    pixels = bench.renderer.decode(unit[0], request).astype(int)
    found: dict[str, Any] = {"finite": bool(unit.isfinite().all()), "ways": {}}
    for way, latents in ways.items():
        apart = np.abs(bench.renderer.decode(latents, request).astype(int) - pixels)
        found["ways"][way] = {
            "same": torch.equal(latents, unit[0]),
            "latents": float((latents.float() - unit[0].float()).abs().max()),
            "levels": int(apart.max()),
            "pixels": float((apart > 0).mean()),
        }
    found["decoded_again"] = bool((bench.renderer.decode(unit[0], request) == pixels).all())
    together, alone = (bench.timed(work)["median"] for work in (bench.denoise, lambda: bench.denoise([0])))
    found |= {"unit": together, "alone": alone}
    found["one_by_one_costs"] = len(rows) * alone / together - 1
    found["padding_one_costs"] = together / alone - 1
    return found


def measure_end(bench: Bench, count: int) -> dict[str, Any]:
    """Rows a second of `count` rows with prompts of their own, finished into a folder, beside fewer and fewer stages.

    Without Ray: one thread computes, as a replica does, and threads finish. `tail` is what finishing takes when the
    last row is decoded, in seconds: a thousandth of a long job, much of this one.
    """
    unit, model = bench.requests, bench.renderer.model
    units = -(-count // len(unit))
    names = [[f"unit-{number}-{request.custom_id}" for request in unit] for number in range(units)]
    digest = hashlib.sha256(b"bench").hexdigest()

    def encode(number: int) -> None:
        prompts = (f"a mug in scene {number}, take {row}" for row in range(len(unit)))
        bench.embeddings = [bench.renderer.encode_prompt(prompt) for prompt in prompts]

    def computed(encoding: bool, decoding: bool) -> None:
        for number in range(units):
            if encoding:
                encode(number)
            for latents, request in zip(bench.denoise(), unit, strict=True):
                if decoding:
                    bench.renderer.decode(latents, request)

    def finished(folder: Path) -> float:
        """Seconds that finishing goes on when nothing is left to be computed."""
        open_store(str(folder)).prepare()
        finisher = Finisher(
            Finishing(Place(str(folder)), FinishingSpec(), model.name, digest, bench.case.precision, "bench")
        )
        with ThreadPoolExecutor(FINISHERS) as threads:
            calls = []
            for number in range(units):
                encode(number)
                for name, latents, request in zip(names[number], bench.denoise(), unit, strict=True):
                    item = Item(len(calls), request, f"images/{name}.png", digest, digest)
                    calls.append(
                        threads.submit(finisher.finish, item, bench.renderer.decode(latents, request), "bench")
                    )
            synchronise(bench.device)
            computed_at = time.perf_counter()
            assert all(call.result().status == "succeeded" for call in calls)
        return time.perf_counter() - computed_at

    computed(True, True)
    rows = units * len(unit)
    found: dict[str, Any] = {"pictures": rows}
    with tempfile.TemporaryDirectory() as folder:
        runs: dict[str, Callable[[], Any]] = {
            "denoise": lambda: computed(False, False),
            "denoise and decode": lambda: computed(False, True),
            "encode, denoise, decode": lambda: computed(True, True),
            "end to end": lambda: finished(Path(folder)),
        }
        for name, run in runs.items():
            synchronise(bench.device)
            started = time.perf_counter()
            tail = run()
            synchronise(bench.device)
            found[name] = rows / (time.perf_counter() - started)
    found["tail"] = tail
    return found
