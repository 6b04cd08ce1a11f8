"""Our sampling loop gives diffusers' bits, for a request alone and for the same request in a full unit."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu, retrieve_timesteps
from PIL import Image

from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.families.flux2.sampling import Schedule, empirical_mu, sample
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.checkpoint import dtype_of
from pressrun.pipeline.models.precision import PRECISIONS
from pressrun.pipeline.request import RenderRequest

REFERENCE_SIZES = [(64, 64), (97, 80), (130, 70)]


@pytest.fixture(scope="module")
def renderers(small_models: dict[str, Model]) -> Callable[[str, str], Renderer]:
    loaded: dict[tuple[str, str], Renderer] = {}

    def get(family: str, precision: str = "fp32") -> Renderer:
        if (family, precision) not in loaded:
            loaded[family, precision] = Renderer.load(small_models[family], precision)
        return loaded[family, precision]

    return get


def diffusers_render(renderer: Renderer, precision: str, request: RenderRequest, references: list[bytes]) -> np.ndarray:
    """What diffusers' own pipeline makes of one request."""
    pipeline_class = Flux2Pipeline if renderer.model.family == "flux2" else Flux2KleinPipeline
    pipeline = pipeline_class.from_pretrained(renderer.model.path, dtype=dtype_of(precision), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    # diffusers leaves weights where they lie in the mapped file. For one line of numbers MKL's sums depend on where a
    # matrix begins (seen on an AMD EPYC: 56 bytes past a multiple of 64); ours begin where PyTorch puts a tensor.
    for weight in pipeline.transformer.parameters():
        weight.data = weight.data.clone()
    [picture] = pipeline(
        image=[Image.open(io.BytesIO(data)) for data in references] or None,
        prompt=request.prompt,
        width=request.width,
        height=request.height,
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        generator=torch.Generator().manual_seed(request.seed),
        max_sequence_length=renderer.model.text_length,
        text_encoder_out_layers=renderer.model.text_layers,
    ).images
    return np.asarray(picture)


@contextmanager
def counted_batches(renderer: Renderer) -> Iterator[list[int]]:
    """The batch size B of every transformer call inside the block."""
    batches: list[int] = []
    hook = renderer.transformer.network.transformer_blocks[0].attn.register_forward_pre_hook(
        lambda _module, _args, arguments: batches.append(len(arguments["hidden_states"])), with_kwargs=True
    )
    try:
        yield batches
    finally:
        hook.remove()


def assert_one_call_equals_single_runs(
    renderer: Renderer, requests: list[RenderRequest], references: list[list[bytes]], passes: int
) -> None:
    """The unit's latents, of which a picture of 8 bits would hide the last ones, are those of its rows alone."""
    embeddings = [renderer.encode_prompt(request.prompt) for request in requests]
    encoded = [[renderer.encode_reference(data) for data in row] for row in references]
    empty = renderer.encode_prompt("")
    with counted_batches(renderer) as batches:
        together = renderer.denoise(requests, embeddings, encoded, empty)
    assert batches == [len(requests)] * passes
    for request, embedding, row, latents in zip(requests, embeddings, encoded, together, strict=True):
        [alone] = renderer.denoise([request], [embedding], [row], empty)
        assert torch.equal(alone, latents), request.prompt


@pytest.mark.parametrize("references", [0, 1, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", ["klein", "klein-base", "dev"])
def test_one_request_is_bit_for_bit_what_diffusers_makes_of_it(
    family, precision, references, renderers, request_of, picture_of
):
    renderer = renderers(family, precision)
    request = request_of("a red mug in the snow", width=96, seed=5)
    pictures = [picture_of(*size, seed) for seed, size in enumerate(REFERENCE_SIZES[:references])]
    [ours] = renderer.render([request], [pictures])
    assert np.array_equal(np.asarray(ours), diffusers_render(renderer, precision, request, pictures))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", ["klein", "klein-base", "dev"])
def test_eight_requests_equal_eight_single_runs_and_reach_the_transformer_together(
    family, precision, renderers, request_of, picture_of
):
    renderer = renderers(family, precision)
    requests = [request_of(f"product number {seed}" + " on marble" * (seed % 3), seed) for seed in range(8)]
    references = [[picture_of(96, 64, seed=seed)] for seed in range(8)]
    assert_one_call_equals_single_runs(renderer, requests, references, passes=4 if family == "klein-base" else 2)


def test_rows_of_one_unit_may_differ_in_number_and_layout_of_references(renderers, request_of, picture_of):
    renderer = renderers("klein")
    requests = [request_of("a red mug", seed) for seed in range(3)]
    references = [
        [picture_of(128, 64)],  # 4 x 8 tokens
        [picture_of(64, 128)],  # 8 x 4 tokens
        [picture_of(64, 64), picture_of(64, 64, seed=1)],  # twice 4 x 4 tokens
    ]
    assert_one_call_equals_single_runs(renderer, requests, references, passes=2)


def test_the_order_of_references_matters(renderers, request_of, picture_of):
    first, second = picture_of(seed=1), picture_of(seed=2)
    there, back = renderers("klein").render([request_of()] * 2, [[first, second], [second, first]])
    assert not np.array_equal(np.asarray(there), np.asarray(back))


@pytest.mark.parametrize("family", ["klein-base", "dev"])
def test_guidance_changes_the_picture_where_the_model_is_not_distilled(family, renderers, request_of):
    weak, strong = renderers(family).render([request_of(guidance=1.5), request_of(guidance=6.0)])
    assert not np.array_equal(np.asarray(weak), np.asarray(strong))


def test_rows_of_a_distilled_model_share_a_unit_whatever_their_guidance(renderers, request_of):
    renderer = renderers("klein")
    with counted_batches(renderer) as batches:
        weak, strong = renderer.render([request_of(guidance=1.5), request_of(guidance=6.0)])
    assert batches == [2, 2]
    assert np.array_equal(np.asarray(weak), np.asarray(strong))


def test_guidance_of_one_costs_a_base_model_one_pass_a_step(renderers, request_of):
    renderer = renderers("klein-base")
    with counted_batches(renderer) as batches:
        renderer.render([request_of(guidance=1.0), request_of(guidance=0.0)])
    assert batches == [2, 2]


@pytest.mark.parametrize(
    "different",
    [
        pytest.param({"width": 96}, id="size"),
        pytest.param({"steps": 4}, id="steps"),
        pytest.param({"guidance": 2.0}, id="guidance"),
    ],
)
def test_requests_of_two_shapes_are_no_unit(different, renderers, request_of):
    renderer = renderers("dev")
    embedding = renderer.encode_prompt("a red mug")
    with pytest.raises(ValueError, match="one shape"):
        renderer.denoise([request_of(), request_of(**different)], [embedding] * 2, [[], []])


def test_what_is_received_is_left_as_it_was(renderers, request_of, picture_of):
    renderer = renderers("klein-base")
    received = [renderer.encode_prompt("a red mug"), renderer.encode_prompt("")]
    reference = renderer.encode_reference(picture_of())
    before = [tensor.clone() for tensor in (*received, reference[0])]
    latents = renderer.denoise([request_of()], received[:1], [[reference]], received[1])
    kept = latents.clone()
    renderer.decode(latents[0], request_of())
    assert all(torch.equal(*pair) for pair in zip(before, (*received, reference[0]), strict=True))
    assert torch.equal(latents, kept)


@pytest.mark.parametrize("tokens", [16, 1024, 4096, 4300, 4301, 16384])
@pytest.mark.parametrize("steps", [1, 4, 10, 28, 50, 200])
def test_the_schedules_shift_is_the_vendors(tokens, steps):
    assert empirical_mu(tokens, steps) == compute_empirical_mu(tokens, steps)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"use_dynamic_shifting": True, "shift": 3.0}, id="dynamic"),
        pytest.param({"use_dynamic_shifting": False, "shift": 1.5}, id="fixed"),
        pytest.param({"use_dynamic_shifting": True, "use_flow_sigmas": True}, id="own-sigmas"),
        pytest.param(
            {"shift_terminal": 0.02, "time_shift_type": "linear", "use_dynamic_shifting": True}, id="terminal"
        ),
    ],
)
def test_the_schedule_is_the_models_own(config):
    flow_sigmas = config.pop("use_flow_sigmas", False)
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    scheduler.register_to_config(use_flow_sigmas=flow_sigmas)
    sigmas = None if flow_sigmas else np.linspace(1.0, 1 / 7, 7)
    ours = Schedule(scheduler).start(256, 7, torch.device("cpu"))
    timesteps, _ = retrieve_timesteps(scheduler, 7, "cpu", sigmas=sigmas, mu=compute_empirical_mu(256, 7))
    assert torch.equal(ours.timesteps, timesteps)
    assert torch.equal(ours.sigmas, scheduler.sigmas)


def test_two_units_may_be_sampled_at_once_from_one_schedule(renderers, request_of):
    """A scheduler counts its steps: were it shared, interleaved units would take each other's."""
    renderer = renderers("klein")
    one, two = (renderer.schedule.start(16, steps, torch.device("cpu")) for steps in (3, 5))
    assert len(one.timesteps) == 3 and len(two.timesteps) == 5


def test_the_noise_of_a_seed_is_the_same_on_every_row(renderers, request_of):
    renderer = renderers("klein")
    embedding = renderer.encode_prompt("a red mug")
    latents = sample(renderer.transformer, renderer.schedule, [request_of(seed=7)] * 3, [embedding] * 3, [[], [], []])
    assert torch.equal(latents[0], latents[1]) and torch.equal(latents[0], latents[2])
