"""An order: the model that is fetched only when a job really starts, and the licence that has to be accepted."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pressrun.jobs.cli.command import main
from pressrun.pipeline.models.catalogue import catalogue, look_up
from tests.conftest import write_manifest
from tests.pipeline.fake_hub import FakeHub

MINI = look_up("mini").path
FOUR, NINE = "flux2-klein-4b", "flux2-klein-9b"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """One row, and that one fails without being rendered."""
    return write_manifest(tmp_path / "in", [{"custom_id": "a", "prompt": ""}])


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRESSRUN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "models"


@pytest.fixture
def hub(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has a model as [klein] 4B, and nobody else to ask."""
    model = catalogue()[FOUR]
    with FakeHub(Path(shutil.copytree(MINI, tmp_path / "repository")), model.repo, model.revision) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def nine(shelf: Path) -> Path:
    """A model that is on disk as [klein] 9B."""
    folder = Path(shutil.copytree(MINI, shelf / NINE))
    text = (folder / "pressrun.toml").read_text().replace('licence = "Apache-2.0"', "")
    (folder / "pressrun.toml").write_text(text)
    return folder


def test_a_model_is_fetched_when_the_job_starts(
    hub: FakeHub, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR]) == 1
    said = capsys.readouterr()
    assert look_up(FOUR).folder and f"Fetching {FOUR}: 0.02 of 0.02 GB" in said.err
    job = json.loads((tmp_path / "out/job.json").read_bytes())
    assert job["model"] == FOUR and len(job["model_digest"]) == 64
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR]) == 1


def test_with_json_nothing_but_json_is_on_stdout(
    hub: FakeHub, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR, "--json"])
    assert json.loads(capsys.readouterr().out)["failed"] == 1


def test_a_dry_run_says_what_would_be_fetched_and_fetches_nothing(
    hub: FakeHub, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR, "--dry-run"]
    assert main(order) == 2, "its one row is bad"
    assert "would be fetched first: about 16.0 GB from black-forest-labs/FLUX.2-klein-4B" in capsys.readouterr().out
    assert not hub.tokens and not (tmp_path / "out").exists()


def test_nothing_is_fetched_for_an_order_that_is_refused(
    hub: FakeHub, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR, "--limit", "0"]) == 2
    assert not hub.tokens


def test_nothing_is_fetched_where_another_job_lives(
    hub: FakeHub, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_manifest(tmp_path / "other", [{"custom_id": "b", "prompt": ""}])
    main(["render", str(other), "--out", str(tmp_path / "out")])
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR]) == 2
    assert "holds another job already: its manifest is" in capsys.readouterr().err
    assert not hub.tokens


def test_without_a_hub_a_missing_model_is_refused_and_nothing_is_written(
    shelf: Path,
    manifest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert main(["render", str(manifest), "--out", str(tmp_path / "out"), "--model", FOUR]) == 2
    assert f"put its folder at <models>/{FOUR}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not shelf.joinpath(FOUR).exists()


def test_a_non_commercial_licence_has_to_be_accepted(
    nine: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = ["render", str(manifest), "--out", str(tmp_path / "out"), "--model", NINE]
    assert main(order) == 2
    said = capsys.readouterr().err
    assert "FLUX Non-Commercial License" in said and "--accept-license" in said
    assert "https://huggingface.co/black-forest-labs/FLUX.2-klein-9B/blob/main/LICENSE.md" in said
    assert not (tmp_path / "out").exists()


def test_an_accepted_licence_is_recorded_and_not_asked_for_again(nine: Path, manifest: Path, tmp_path: Path) -> None:
    order = ["render", str(manifest), "--out", str(tmp_path / "out"), "--model", NINE]
    assert main([*order, "--accept-license"]) == 1
    job = json.loads((tmp_path / "out/job.json").read_bytes())
    assert (job["licence"], job["licence_accepted"]) == ("FLUX Non-Commercial License", True)
    assert main(order) == 1


def test_a_licence_that_nobody_has_to_accept_is_recorded_as_such(manifest: Path, tmp_path: Path) -> None:
    main(["render", str(manifest), "--out", str(tmp_path / "out"), "--accept-license"])
    job = json.loads((tmp_path / "out/job.json").read_bytes())
    assert (job["licence"], job["licence_accepted"]) == ("Apache-2.0", False)


def test_a_job_of_before_licences_were_recorded_goes_on(manifest: Path, tmp_path: Path) -> None:
    order = ["render", str(manifest), "--out", str(tmp_path / "out")]
    main(order)
    path = tmp_path / "out/job.json"
    job = json.loads(path.read_bytes())
    path.write_text(json.dumps({name: value for name, value in job.items() if not name.startswith("licence")}))
    assert main(order) == 1


def test_the_catalogues_licences_are_listed_with_what_they_ask_for(
    nine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    asking = {name for name, model in models.items() if model["non_commercial"]}
    assert asking == {"flux2-klein-9b", "flux2-klein-base-9b", "flux2-dev"}
    assert all(models[name]["licence_url"].startswith("https://") for name in asking)
    assert models[NINE]["on_disk"] and models[NINE]["folder"] == str(nine) and not models[FOUR]["on_disk"]
    main(["models"])
    assert "FLUX Non-Commercial License (--accept-license)" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["fp8", "int8"])
def test_eight_bits_without_torchao_are_refused_before_anything_starts(
    precision: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pressrun.pipeline.models.precision.find_spec", lambda name: None)
    out = tmp_path / "out"
    assert main(["render", str(manifest), "--out", str(out), "--precision", precision]) == 2
    assert f"--precision {precision} needs torchao, which is not installed" in capsys.readouterr().err
    assert not out.exists()
