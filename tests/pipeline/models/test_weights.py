"""Weights judged without loading them: what is no safetensors file, or only a part of one, is a sentence."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.families.flux2.renderer import Renderer
from pressrun.pipeline.models.catalogue import find_model

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path, small_models: dict, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model's folder that a test may spoil."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(small_models["klein"].path, tmp_path / "klein"))


def refusal(folder: Path) -> str:
    with pytest.raises(JobError) as error:
        find_model(str(folder))
    return str(error.value)


def header(table: object) -> bytes:
    text = json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(pickle.dumps({"weight": [1.0] * 100}), "is a pickle under another name", id="a pickle"),
        pytest.param(b"PK\x03\x04" + bytes(200), "is a pickle under another name", id="a torch archive"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", id="a Git LFS pointer"),
        pytest.param((1 << 62).to_bytes(8, "little") + b"{}", "claims 4,611,686,018,427,387,904", id="a huge header"),
        pytest.param(b"", "only the beginning of one", id="nothing"),
        pytest.param(header({"a": {}}), "is no safetensors file", id="a table without offsets"),
        pytest.param(header([1, 2]), "is no safetensors file", id="a header that is no table"),
        pytest.param((40_000).to_bytes(8, "little") + b"[" * 40_000, "is no safetensors file", id="a nested header"),
        pytest.param(header({"a": {"data_offsets": [0, 9]}}) + b"12345678", "bytes and has", id="a byte too few"),
        pytest.param(header({"a": {"data_offsets": [0, 9]}}) + b"1234567890", "bytes and has", id="a byte too many"),
    ],
)
def test_a_file_that_is_no_whole_safetensors_file_is_refused(folder: Path, content: bytes, words: str) -> None:
    (folder / TRANSFORMER).write_bytes(content)
    message = refusal(folder)
    assert words in message and TRANSFORMER in message
    assert len(message.splitlines()) == 1


def test_a_truncated_file_says_how_much_of_it_is_there(folder: Path) -> None:
    whole = (folder / TRANSFORMER).read_bytes()
    (folder / TRANSFORMER).write_bytes(whole[:-1])
    assert f"should have {len(whole):,} bytes and has {len(whole) - 1:,}" in refusal(folder)


def shard(folder: Path, count: int) -> Path:
    """Name the transformer's weights as the first of `count` shards, with an index that says so."""
    names = [f"diffusion_pytorch_model-{one:05}-of-{count:05}.safetensors" for one in range(1, count + 1)]
    (folder / TRANSFORMER).rename(folder / "transformer" / names[0])
    index = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {f"weight {name}": name for name in names}}))
    return index


def test_a_missing_shard_is_named(folder: Path) -> None:
    shard(folder, 2)
    assert "transformer/diffusion_pytorch_model-00002-of-00002.safetensors is missing" in refusal(folder)


def test_a_missing_shard_is_noticed_without_an_index(folder: Path) -> None:
    shard(folder, 3).unlink()
    message = refusal(folder)
    assert "00002-of-00003" in message and "00003-of-00003" in message


def test_a_model_in_one_shard_is_complete(folder: Path) -> None:
    shard(folder, 1)
    assert find_model(str(folder)).path == folder


@pytest.mark.parametrize("name", ["../vae/diffusion_pytorch_model.safetensors", "/etc/passwd", "weights.bin", 7])
def test_an_index_that_names_files_elsewhere_is_refused(folder: Path, name: object) -> None:
    shard(folder, 1).write_text(json.dumps({"weight_map": {"weight": name}}))
    assert "no safetensors file beside it" in refusal(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_broken_index_is_a_sentence(folder: Path, text: str) -> None:
    shard(folder, 1).write_text(text)
    assert "is no index of safetensors" in refusal(folder)


def test_weights_may_be_links_as_in_the_hubs_cache(folder: Path, tmp_path: Path) -> None:
    (folder / TRANSFORMER).rename(tmp_path / "blob")
    (folder / TRANSFORMER).symlink_to(tmp_path / "blob")
    assert find_model(str(folder)).path == folder


def test_a_link_that_leads_nowhere_is_a_missing_file(folder: Path) -> None:
    (folder / TRANSFORMER).unlink()
    (folder / TRANSFORMER).symlink_to("nowhere")
    assert f"{TRANSFORMER} is missing" in refusal(folder)


def test_a_pickle_beside_safetensors_is_left_alone(folder: Path) -> None:
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"never opened")
    assert find_model(str(folder)).path == folder


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    (folder / TRANSFORMER).write_bytes(b"")
    shutil.rmtree(folder / "vae")
    assert len(refusal(folder).splitlines()) == 2


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_weight_that_the_files_lack_is_never_made_up(folder: Path, part: str) -> None:
    [path] = (folder / part).glob("*.safetensors")
    weights = load_file(path)
    lost = max(
        weights, key=lambda name: weights[name].numel() if not {"embed_tokens", "lm_head"} & {*name.split(".")} else 0
    )
    del weights[lost]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(JobError) as error:
        Renderer.load(find_model(str(folder)), precision="fp32", device="cpu")
    assert str(error.value).startswith(f"The {part} of klein ") and lost in str(error.value)
