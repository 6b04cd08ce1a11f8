"""The whole in one process: stages apart and together, finished sizes, refusals, silence and no network."""

import io
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.families.flux2.autoencoder import Autoencoder
from pressrun.pipeline.families.flux2.renderer import STAGES, Renderer
from pressrun.pipeline.families.flux2.sampling import Schedule
from pressrun.pipeline.families.flux2.text_encoder import TextEncoder
from pressrun.pipeline.models.catalogue import find_model


@pytest.fixture(scope="module")
def renderer(small_models) -> Renderer:
    return Renderer.load(small_models["klein"], "fp32")


@pytest.mark.parametrize(
    ("finished", "rendered"), [((64, 64), (64, 64)), ((60, 75), (64, 80)), ((49, 1), (64, 16)), ((33, 79), (48, 80))]
)
def test_sides_that_are_no_multiple_of_16_are_cropped_around_the_centre(finished, rendered, renderer, request_of):
    small = request_of(width=finished[0], height=finished[1])
    whole = request_of(width=rendered[0], height=rendered[1])
    picture, surroundings = renderer.render([small, whole])
    left, top = (rendered[0] - finished[0]) // 2, (rendered[1] - finished[1]) // 2
    expected = surroundings.crop((left, top, left + finished[0], top + finished[1]))
    assert picture.size == finished
    assert np.array_equal(np.asarray(picture), np.asarray(expected))


def test_pictures_come_back_in_the_order_of_their_requests_whatever_their_shapes(renderer, request_of):
    requests = [request_of(seed=seed, width=64 + 16 * (seed % 3)) for seed in range(6)]
    pictures = renderer.render(requests)
    assert [picture.width for picture in pictures] == [request.width for request in requests]
    for request, picture in zip(requests[:3], pictures, strict=False):
        [alone] = renderer.render([request])
        assert np.array_equal(np.asarray(alone), np.asarray(picture))


def test_prompt_and_seed_both_decide_the_picture(renderer, request_of):
    pictures = renderer.render([request_of("a"), request_of("b"), request_of("a", seed=2), request_of("a")])
    a, b, other_seed, again = (np.asarray(picture) for picture in pictures)
    assert not np.array_equal(a, b) and not np.array_equal(a, other_seed)
    assert np.array_equal(a, again)


@pytest.mark.parametrize("family", ["klein-base", "dev"])
def test_stages_in_separate_renderers_give_the_pixels_of_one(family, small_models, request_of, picture_of):
    model = small_models[family]
    request, reference = request_of(width=80), picture_of()
    [whole] = Renderer.load(model, "bf16").render([request], [[reference]])
    encode, denoise, decode = (Renderer.load(model, "bf16", stages=[stage]) for stage in STAGES)
    embedding, empty = encode.encode_prompt(request.prompt), encode.encode_prompt("")
    latents = denoise.denoise([request], [embedding], [[encode.encode_reference(reference)]], empty)
    assert latents.dtype == torch.bfloat16
    assert np.array_equal(decode.decode(latents[0], request), np.asarray(whole))


def test_a_renderer_loads_the_parts_of_its_stages_only(small_models):
    denoiser = Renderer.load(small_models["klein"], "fp32", stages=["denoise"])
    assert denoiser.text_encoder is None and denoiser.autoencoder is None
    with pytest.raises(RuntimeError, match="without its encode stage"):
        denoiser.encode_prompt("a red mug")


@pytest.mark.parametrize("family", ["klein", "klein-base", "dev"])
def test_a_prompt_may_fill_the_text_length_and_no_more(family, small_models):
    model = small_models[family]
    encoder = TextEncoder.load(model, "fp32")
    frame = encoder._count("")
    room = model.text_length - frame
    assert encoder.encode("x" * room).shape == (model.text_length, 96)
    with pytest.raises(RequestError, match=f"{model.text_length + 7} tokens .* shorten it by 7") as error:
        encoder.encode("x" * (room + 7))
    assert error.value.code == "prompt_too_long"


def test_what_a_prompt_counts_is_what_the_encoder_reads(small_models):
    """A prompt of one token more gets another embedding: nothing of a prompt that passes the check is cut off."""
    for model in small_models.values():
        encoder = TextEncoder.load(model, "fp32")
        room = model.text_length - encoder._count("")
        assert not torch.equal(encoder.encode("x" * (room - 1) + "y"), encoder.encode("x" * room))


def test_an_unreadable_reference_is_the_requests_fault(renderer, request_of):
    with pytest.raises(RequestError) as error:
        renderer.render([request_of()], [[b"no picture"]])
    assert error.value.code == "reference_unreadable"


def test_a_precision_that_there_is_not_is_refused(small_models):
    with pytest.raises(JobError, match="no precision 'fp17'; choose one of bf16, fp8, int8, fp32"):
        Renderer.load(small_models["klein"], "fp17")


def test_damaged_weights_are_a_sentence(small_models, tmp_path):
    for part in ("transformer", "vae", "text_encoder", "scheduler", "tokenizer"):
        (tmp_path / part).mkdir()
    (tmp_path / "vae" / "config.json").write_text("{}")
    with pytest.raises(JobError, match=r"The vae of .* cannot be loaded as AutoencoderKLFlux2"):
        Autoencoder.load(replace(small_models["klein"], folder=tmp_path), "fp32")


def test_a_schedule_that_draws_noise_between_steps_is_refused(small_models, tmp_path):
    (tmp_path / "scheduler").mkdir()
    text = (small_models["klein"].path / "scheduler" / "scheduler_config.json").read_text()
    changed = text.replace('"stochastic_sampling": false', '"stochastic_sampling": true')
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(changed)
    with pytest.raises(JobError, match="draws noise"):
        Schedule.load(replace(small_models["klein"], folder=tmp_path))


@pytest.mark.parametrize("family", ["klein", "klein-base", "dev"])
def test_nothing_is_printed_and_nothing_is_fetched(family, small_models, request_of, capfd, monkeypatch):
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded = Renderer.load(find_model(str(small_models[family].path)), "bf16")
    loaded.render([request_of()])
    with pytest.raises(RequestError):
        loaded.render([request_of("x" * 1000)])
    assert capfd.readouterr() == ("", "")


def test_the_shipped_model_renders(request_of, picture_of):
    """Whatever its training has come to: the right size, and a picture of something."""
    shipped = Renderer.load(find_model("mini"), "fp32")
    request = request_of("a red mug in the snow", width=120, height=128, guidance=1.0)
    [picture] = shipped.render([request], [[picture_of(300, 200)]])
    assert picture.size == (120, 128)
    assert np.asarray(picture).std() > 0


def test_a_picture_of_a_notebook_can_be_a_reference(renderer, request_of):
    """What `render` returns goes in again as bytes."""
    [first] = renderer.render([request_of()])
    file = io.BytesIO()
    first.save(file, format="PNG")
    [second] = renderer.render([request_of("the same at night")], [[file.getvalue()]])
    assert isinstance(second, Image.Image) and second.size == first.size
