"""The shipped folder loads with diffusers' own pipeline, is small, and draws what it is asked for."""

import json
import random

import pytest
import torch

from pipeline.mini.architecture import (
    HEAD_DIM,
    ROTARY_AXES,
    TEXT_LAYERS,
    TEXT_LENGTH,
    build_pipeline,
    count_parameters,
)
from pipeline.mini.batches import batch_of
from pipeline.mini.captions import TEMPLATES
from pipeline.mini.evaluate import held_out_prompts, prompts_for, render_all, shares
from pipeline.mini.export import MODEL_FOLDER, export, load
from pipeline.mini.latents import Latents
from pipeline.mini.rendering import DEFAULT_STEPS, render
from pipeline.mini.scenes import Scene, training_scenes
from pipeline.mini.tokenizer import train_tokenizer
from pipeline.mini.train_flow import FlowModel, loss_of


@pytest.fixture(scope="module")
def pipeline():
    return load(dtype=torch.float32)


def test_the_folder_says_what_it_is() -> None:
    index = json.loads((MODEL_FOLDER / "model_index.json").read_text())
    assert index["_class_name"] == "Flux2KleinPipeline"
    assert index["is_distilled"] is True


def test_weights_are_safetensors_of_at_most_25_megabytes() -> None:
    files = [path for path in MODEL_FOLDER.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".ckpt"}]
    assert sum(path.stat().st_size for path in files) <= 25_000_000


def test_the_folder_holds_the_architecture_that_the_code_builds(pipeline) -> None:
    assert count_parameters(pipeline) == count_parameters(build_pipeline(pipeline.tokenizer))
    assert sum(ROTARY_AXES) == HEAD_DIM


@pytest.mark.parametrize(
    "text", ["a red mug on a beach", "Schöne grüne Tasse für 5 €", "砂浜の赤いマグカップ", "naïve ☕ 😀"]
)
def test_the_tokenizer_gives_back_every_text(pipeline, text: str) -> None:
    assert pipeline.tokenizer.decode(pipeline.tokenizer(text)["input_ids"]) == text


def test_the_chat_template_is_the_prompt_alone(pipeline) -> None:
    message = [{"role": "user", "content": "a red mug"}]
    asked = pipeline.tokenizer.apply_chat_template(
        message, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    assert asked == "a red mug"


def test_the_tokenizer_is_what_its_training_makes(pipeline, tmp_path) -> None:
    assert train_tokenizer(tmp_path).get_vocab() == pipeline.tokenizer.get_vocab()


@pytest.mark.parametrize(("width", "height"), [(128, 128), (160, 96), (96, 160)])
def test_a_picture_has_the_size_that_was_asked_for(pipeline, width: int, height: int) -> None:
    (picture,) = render(pipeline, ["a red mug on a beach"], [0], width=width, height=height, steps=2)
    assert picture.size == (width, height)


def test_the_training_forward_is_the_pipelines(pipeline) -> None:
    """Given the same weights, noise and prompt, training predicts the flow that the pipeline integrates."""
    model = FlowModel(pipeline.tokenizer).eval()
    model.transformer.load_state_dict(pipeline.transformer.state_dict())
    model.text_encoder.load_state_dict(pipeline.text_encoder.state_dict())
    source = Latents(128, 128, training_scenes(40), torch.zeros(40, 64, 128).bfloat16())
    batch = batch_of([source], 2, pipeline.tokenizer, random.Random(0))
    noise = torch.randn(len(batch.captions), 128, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        flow, _ = model(batch, noise.flatten(2).transpose(1, 2), torch.ones(len(noise)))
    seen = {}
    pipeline(
        prompt=batch.captions,
        latents=noise,
        num_inference_steps=1,
        width=128,
        height=128,
        guidance_scale=1.0,
        max_sequence_length=TEXT_LENGTH,
        text_encoder_out_layers=TEXT_LAYERS,
        output_type="latent",
        callback_on_step_end=lambda pipe, step, time, state: seen.update(latents=state["latents"]) or {},
    )
    torch.testing.assert_close(seen["latents"], noise.flatten(2).transpose(1, 2) - flow, atol=2e-4, rtol=1e-3)


def test_every_kind_of_batch_can_be_trained_on(pipeline, monkeypatch) -> None:
    model = FlowModel(pipeline.tokenizer)
    shapes = ((128, 128), (160, 96), (96, 160))
    sources = [
        Latents(w, h, training_scenes(1600, seed=i), torch.randn(1600, w * h // 256, 128).bfloat16())
        for i, (w, h) in enumerate(shapes)
    ]
    for kind in TEMPLATES:
        monkeypatch.setattr("pipeline.mini.batches.KINDS", (kind,))
        monkeypatch.setattr("pipeline.mini.batches.REFERENCE_SHARE", float(kind != "plain"))
        batch = batch_of(sources, 3, pipeline.tokenizer, random.Random(2))
        assert batch.positions.shape[0] == batch.target.shape[1] + batch.references.shape[1]
        assert (batch.references.shape[1] > 0) is (kind != "plain")
        loss = loss_of(model, batch)
        loss.backward()
        assert torch.isfinite(loss)
        assert model.text_encoder.model.embed_tokens.weight.grad.abs().sum() >= 0


def test_an_exported_model_renders_as_it_did(pipeline, tmp_path) -> None:
    export(load(), tmp_path / "model")
    again = load(tmp_path / "model", torch.float32)
    before, after = (render(p, ["a blue lamp, studio"], [5], steps=2)[0] for p in (pipeline, again))
    assert before.tobytes() == after.tobytes()


@pytest.mark.slow
def test_most_pictures_show_the_product_colour_and_scene_that_were_asked_for(pipeline) -> None:
    scenes: list[Scene] = held_out_prompts(200)
    pictures, _ = render_all(pipeline, scenes, prompts_for(scenes), DEFAULT_STEPS)
    found = shares(scenes, pictures)
    assert min(found.product, found.colour, found.scene) >= 0.70, found
