"""The shipped folder loads with diffusers' own pipeline, is small, and draws what it is asked for."""

import json

import pytest
import torch

from pressrun.pipeline.mini.training.architecture import HEAD_DIM, ROTARY_AXES, build_pipeline, count_parameters
from pressrun.pipeline.mini.training.evaluate import prompts_for, render_all, shares
from pressrun.pipeline.mini.training.export import MODEL_FOLDER, export, load
from pressrun.pipeline.mini.training.rendering import render
from pressrun.pipeline.mini.training.tokenizer import train_tokenizer
from pressrun.pipeline.mini.training.train_judge import held_out_scenes


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


def test_an_exported_model_renders_as_it_did(pipeline, tmp_path) -> None:
    export(load(), tmp_path / "model")
    again = load(tmp_path / "model", torch.float32)
    before, after = (render(p, ["a blue lamp, studio"], [5], steps=2)[0] for p in (pipeline, again))
    assert before.tobytes() == after.tobytes()


def test_most_pictures_show_what_was_asked_for(pipeline) -> None:
    scenes = held_out_scenes(100, seed=4)
    found = shares(scenes, render_all(pipeline, scenes, prompts_for(scenes), shape=(128, 128)))
    assert min(found.product, found.colour, found.scene) >= 0.70, found
