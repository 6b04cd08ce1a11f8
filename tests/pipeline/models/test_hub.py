"""Fetching a model from the hub, with the hub's real client and a hub on loopback."""

import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from pressrun.pipeline.errors import JobError
from pressrun.pipeline.models.catalogue import catalogue, find_model, look_up
from pressrun.pipeline.models.hub import fetch_model
from tests.pipeline.fake_hub import FakeHub

NAME = "flux2-klein-4b"
MINI = look_up("mini").path
TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The shipped model's files, and beside them what repositories hold that is not needed."""
    folder = Path(shutil.copytree(MINI, tmp_path / "repository"))
    for name in ("pressrun.toml", "digests.json"):
        (folder / name).unlink()
    needless = "flux-2-klein-4b.safetensors", "transformer/diffusion_pytorch_model.bin", "vae/model.fp16.safetensors"
    for name in needless:
        (folder / name).write_bytes(b"never to be fetched")
    (folder / "README.md").write_text("words")
    return folder


@pytest.fixture
def hub(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    model = catalogue()[NAME]
    for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "PRESSRUN_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with FakeHub(repository, model.repo, model.revision) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRESSRUN_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def refusal() -> str:
    with pytest.raises(JobError) as error:
        fetch_model(look_up(NAME))
    return str(error.value)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


NEEDED = files_of(MINI) - {"pressrun.toml", "digests.json"}


def test_a_model_arrives_on_the_shelf_with_the_files_that_it_needs(hub: FakeHub, shelf: Path) -> None:
    assert look_up(NAME).folder is None
    model = fetch_model(look_up(NAME))
    assert model.path == shelf / NAME
    assert files_of(model.path) == NEEDED | {"digests.json"}
    assert set(hub.asked) == NEEDED
    assert all((model.path / name).read_bytes() == (MINI / name).read_bytes() for name in NEEDED)


def test_without_a_shelf_a_model_arrives_in_the_hubs_own_cache(hub: FakeHub, tmp_path: Path) -> None:
    model = fetch_model(look_up(NAME))
    assert model.path.is_relative_to(tmp_path / "hub/hub") and model.path.name == model.revision
    assert files_of(model.path) == NEEDED


def test_a_fetched_model_is_found_without_the_hub(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = fetch_model(look_up(NAME))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert find_model(NAME) == fetched


@pytest.mark.parametrize("place", ["shelf", "cache"])
def test_an_interrupted_fetch_is_no_model_and_goes_on_with_what_is_missing(
    hub: FakeHub, place: str, request: pytest.FixtureRequest
) -> None:
    if place == "shelf":
        request.getfixturevalue("shelf")
    hub.broken.add(TRANSFORMER)
    assert "answered 500" in refusal()
    assert look_up(NAME).folder is None
    before = dict(hub.asked)
    hub.broken.clear()
    fetch_model(look_up(NAME))
    assert hub.asked["text_encoder/model.safetensors"] == before["text_encoder/model.safetensors"] == 1


def test_a_connection_that_breaks_within_a_file_is_taken_up_again_there(hub: FakeHub, shelf: Path) -> None:
    hub.cut.add(TRANSFORMER)
    assert fetch_model(look_up(NAME)).folder
    assert hub.asked[TRANSFORMER] == 2


@pytest.mark.parametrize("name", [TRANSFORMER, "vae/config.json"])
@pytest.mark.parametrize("place", ["shelf", "cache"])
def test_a_file_that_arrives_damaged_twice_is_refused_and_not_kept(
    hub: FakeHub, name: str, place: str, request: pytest.FixtureRequest
) -> None:
    if place == "shelf":
        request.getfixturevalue("shelf")
    hub.corrupt.add(name)
    assert f"{name} of black-forest-labs/FLUX.2-klein-4B arrives damaged" in refusal()
    assert look_up(NAME).folder is None
    hub.corrupt.clear()
    assert fetch_model(look_up(NAME)).folder


def test_a_gated_repository_says_where_access_is_granted(
    hub: FakeHub, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    message = refusal()
    assert "https://huggingface.co/black-forest-labs/FLUX.2-klein-4B" in message and "HF_TOKEN" in message
    assert "Bearer hf_canary" in hub.tokens
    assert "canary" not in message and "SECRET" not in message


def test_a_hub_that_cannot_be_reached_says_where_to_put_the_folder(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://somebody:canary@127.0.0.1:1/")
    message = refusal()
    assert "127.0.0.1:1 cannot be reached" in message and f"<models>/{NAME}" in message
    assert "canary" not in message


def test_too_small_a_disk_is_found_before_anything_is_fetched(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1 << 20))
    message = refusal()
    assert "needs another 0.0 GB" in message and "make room" in message
    assert not hub.asked


def test_a_repository_of_pickles_is_refused(hub: FakeHub, repository: Path) -> None:
    (repository / TRANSFORMER).unlink()
    assert "no safetensors in transformer" in refusal()
    assert not hub.asked


def test_another_revision_than_the_pinned_one_is_never_fetched(hub: FakeHub) -> None:
    hub.revision = "0" * 40
    assert "at revision e7b7dc27" in refusal()


def test_the_watcher_is_told_every_byte(hub: FakeHub, shelf: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch_model(look_up(NAME), lambda done, total: seen.append((done, total)))
    total = sum((MINI / name).stat().st_size for name in NEEDED)
    assert seen == sorted(seen) and seen[-1] == (total, total)
