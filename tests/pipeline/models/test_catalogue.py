"""Models by name and by folder, and the sentence for every way in which one cannot be used."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models import catalogue as catalogue_module
from pressrun.pipeline.models.catalogue import Model, catalogue, find_model, model_digest
from pressrun.pipeline.models.digests import record_digests

ROOT = Path(catalogue_module.__file__).parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Digests remembered in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("PRESSRUN_MODELS", raising=False)


@pytest.fixture
def folder(tmp_path, small_models) -> Path:
    """A small model's folder that a test may spoil."""
    return Path(shutil.copytree(small_models["klein"].path, tmp_path / "klein"))


def refusal(name_or_folder: str | Path) -> str:
    with pytest.raises(JobError) as error:
        find_model(str(name_or_folder))
    return str(error.value)


def test_every_catalogued_model_is_complete():
    for name, model in catalogue().items():
        assert model.family in ("flux2", "flux2-klein"), name
        assert model.bytes > 0 and model.licence != "unknown", name
        assert model.width * model.height <= model.max_pixels, name


def test_the_shipped_model_is_found_by_name_and_by_folder():
    by_name = find_model("mini")
    assert by_name.path.is_dir() and by_name.text_length == 48
    assert find_model(str(by_name.path)) == by_name


def test_digests_of_files_that_are_gone_are_forgotten(folder, tmp_path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    model_digest(find_model(str(other)))
    shutil.rmtree(other)
    model_digest(find_model(str(folder)))
    known = json.loads((tmp_path / "cache/pressrun/digests.json").read_text())
    assert known and all(name.startswith(str(folder)) for name in known)


def test_every_model_of_the_hub_is_pinned_to_a_commit():
    for name, model in catalogue().items():
        assert not model.repo or re.fullmatch("[0-9a-f]{40}", model.revision), name


def test_a_folder_of_a_catalogued_architecture_has_its_licence_and_defaults(folder):
    path = folder / "transformer" / "config.json"
    blocks = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32}
    path.write_text(json.dumps(json.loads(path.read_text()) | blocks))
    model = find_model(str(folder))
    assert (model.name, model.licence, model.non_commercial) == ("klein", "FLUX Non-Commercial License", True)
    assert model.transformer_bytes == catalogue()["flux2-klein-9b"].transformer_bytes


def test_a_folder_may_state_a_licence_of_its_own(folder):
    (folder / "pressrun.toml").write_text('licence = "ours"\n')
    path = folder / "transformer" / "config.json"
    blocks = {"num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32}
    path.write_text(json.dumps(json.loads(path.read_text()) | blocks))
    model = find_model(str(folder))
    assert (model.licence, model.licence_url, model.non_commercial) == ("ours", "", False)


def test_a_folder_of_ones_own_needs_no_licence(folder):
    assert not find_model(str(folder)).non_commercial


def test_a_misspelt_name_is_answered_with_the_near_ones():
    message = refusal("flux2-kline-4b")
    assert "Did you mean flux2-klein-4b" in message and "mini" in message


def test_a_folder_that_is_not_there_is_called_a_folder():
    assert "no folder ./nowhere" in refusal("./nowhere")


def test_a_model_that_is_not_on_disk_says_where_to_put_it():
    message = refusal("flux2-klein-4b")
    assert "PRESSRUN_MODELS" in message and "black-forest-labs/FLUX.2-klein-4B" in message


def test_models_on_the_shelf_are_found_by_name(folder, monkeypatch):
    monkeypatch.setenv("PRESSRUN_MODELS", str(folder.parent))
    folder.rename(folder.parent / "flux2-klein-4b")
    model = find_model("flux2-klein-4b")
    assert model.path == folder.parent / "flux2-klein-4b"
    assert model.licence == "Apache-2.0" and model.text_length == 96  # the latter from the folder's pressrun.toml


def test_another_model_under_a_catalogued_name_is_refused(small_models, tmp_path, monkeypatch):
    monkeypatch.setenv("PRESSRUN_MODELS", str(tmp_path))
    shutil.copytree(small_models["klein-base"].path, tmp_path / "flux2-klein-4b")
    assert "holds another model" in refusal("flux2-klein-4b")


@pytest.mark.parametrize(
    ("family", "expected"),
    [("klein", ("flux2-klein", True)), ("klein-base", ("flux2-klein", False)), ("dev", ("flux2", False))],
)
def test_a_folders_family_is_read_from_its_index(family, expected, small_models):
    model = small_models[family]
    assert (model.family, model.distilled) == expected


def test_a_folder_without_an_index_is_no_model(tmp_path):
    assert "no model_index.json" in refusal(tmp_path)


def test_a_model_of_another_kind_is_named(folder):
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert "StableDiffusionPipeline" in refusal(folder)


def test_a_broken_index_is_a_sentence(folder):
    (folder / "model_index.json").write_text("{")
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_never_loaded(folder, name):
    for weights in (folder / "transformer").glob("*.safetensors"):
        weights.rename(weights.with_name(name))
    assert "pickled weights" in refusal(folder) and name in refusal(folder)


def test_a_model_without_weights_is_incomplete(folder):
    shutil.rmtree(folder / "vae")
    assert "no safetensors in vae" in refusal(folder)


def test_overrides_that_are_unknown_or_of_the_wrong_type_are_all_named(folder):
    (folder / "pressrun.toml").write_text('colour = "red"\nsteps = "many"\nguidance = 3\n')
    message = refusal(folder)
    assert "colour is not a field" in message and "steps = 'many' should be a int" in message
    assert "guidance" not in message.split("known are")[-1].split("\n")[-1]


def test_a_digest_changes_with_the_files_and_with_the_recipe(folder):
    model = find_model(str(folder))
    before = model_digest(model)
    assert model_digest(replace(model, licence="other", steps=9)) == before
    assert model_digest(replace(model, text_length=12)) != before
    (folder / "README.md").write_text("words about the model")
    assert model_digest(model) == before
    (folder / "tokenizer" / "chat_template.jinja").write_text("another")
    assert model_digest(model) != before


def test_a_digest_does_not_depend_on_where_the_folder_is(folder, small_models):
    assert model_digest(find_model(str(folder))) == model_digest(small_models["klein"])


def test_unchanged_files_are_never_hashed_again(folder, monkeypatch):
    model = find_model(str(folder))
    before = model_digest(model)
    monkeypatch.setattr(catalogue_module.hashlib, "file_digest", None)
    assert model_digest(model) == before


def test_a_cache_that_cannot_be_written_is_done_without(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(model_digest(find_model(str(folder)))) == 64


def test_damaged_weights_are_noticed_against_recorded_digests(folder):
    record_digests(folder)
    find_model(str(folder))
    [weights] = (folder / "vae").glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(1, 1))
    message = refusal(folder)
    assert "is damaged" in message and weights.name in message


def test_planning_never_imports_torch():
    light = ("errors", "request", "families.flux2.shape", "models.catalogue", "references.decode")
    modules = ", ".join(f"pressrun.pipeline.{name}" for name in light)
    heavy = "torch", "diffusers", "transformers"
    code = f"import sys, {modules}; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_models_bytes_are_those_of_its_parts():
    model = Model(name="any", family="flux2", transformer_bytes=3, text_encoder_bytes=2, autoencoder_bytes=1)
    assert model.bytes == 6
