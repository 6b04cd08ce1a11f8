"""Commented examples to begin with: each is written whole or not at all, and runs as it stands."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.cli.commands.new import COMMANDS
from pressrun.jobs.starters.starter import STARTERS, write_starter
from pressrun.pipeline.errors import JobError


@pytest.mark.parametrize("starter", STARTERS)
def test_every_file_is_written_into_a_new_folder(starter: str, tmp_path: Path) -> None:
    files = write_starter(starter, str(tmp_path / "a/new place"))
    found = {str(path.relative_to(tmp_path / "a/new place")) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(files) == set(STARTERS[starter])


@pytest.mark.parametrize("starter", STARTERS)
def test_every_toml_says_what_its_settings_mean(starter: str, tmp_path: Path) -> None:
    write_starter(starter, str(tmp_path))
    for path in tmp_path.rglob("*.toml"):
        text = path.read_text()
        assert tomllib.loads(text)
        assert text.startswith("#") and text.count("#") >= 8


def test_a_folder_that_holds_such_files_is_refused_with_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "style.toml").write_text("mine")
    (tmp_path / "products.csv").symlink_to("nowhere")
    assert main(["new", "campaign", str(tmp_path)]) == 2
    assert f"{tmp_path} has products.csv, style.toml already; name a new folder" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["products.csv", "style.toml"]


def test_other_files_of_a_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_text("mine")
    write_starter("finish", str(tmp_path))
    assert (tmp_path / "catalog.csv").read_text() == "mine"


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "photos").write_text("a file where a folder would be")
    with pytest.raises(JobError, match="cannot be written: Not a directory"):
        write_starter("campaign", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_bucket_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "dam", "s3://shop/dam"]) == 2
    assert "s3://shop/dam is no folder of this machine: name a path." in capsys.readouterr().err


def test_the_commands_that_run_it_are_printed_for_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "Spring sale")
    assert main(["new", "finish", folder, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == list(STARTERS["finish"])
    assert shlex.split(said["commands"][0])[:3] == ["pressrun", "render", f"{folder}/try.csv"]


@pytest.mark.parametrize("starter", [name for name in STARTERS if name != "night"])
def test_it_runs_as_it_stands(starter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", starter, str(tmp_path / "x")]) == 0
    for command in COMMANDS[starter]:
        arguments = shlex.split(command.format(dir=tmp_path / "x"))[1:]
        if arguments[0] not in ("variants", "render"):
            break  # what follows wants pictures, which take a while
        dry = [] if arguments[0] == "variants" or "--dry-run" in arguments else ["--dry-run"]
        assert main([*arguments, *dry]) == 0, capsys.readouterr().err
    assert (0 if starter != "campaign" else 1) == len(list(tmp_path.rglob("*.html")))


def test_a_night_goes_through_its_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "night", str(tmp_path)]) == 0
    assert main(["night", str(tmp_path / "night.toml"), "--dry-run"]) == 0, capsys.readouterr().err
    assert "40" in capsys.readouterr().out


@pytest.mark.slow
def test_the_campaign_is_rendered_and_its_matrix_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "campaign", str(tmp_path / "x")]) == 0
    codes = [main(shlex.split(command.format(dir=tmp_path / "x"))[1:]) for command in COMMANDS["campaign"]]
    # four pictures are rendered, and the same command without its limit would go on: code 3
    assert codes == [0, 0, 3, 0], capsys.readouterr().err
    assert len(list((tmp_path / "x/out/images").glob("*.png"))) == 4
    assert (tmp_path / "x/out/matrix.html").is_file()
