"""A file that was named on the command line is replaced; a folder, a link and a device of that name are left alone."""

import os
from pathlib import Path

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.folder.named_file import write_named
from pressrun.pipeline.errors import JobError
from tests.opening import stores


def test_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    write_named(stores(), str(tmp_path / "a"), [b"n", b"ew"], "text/plain")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        pytest.param(Path.mkdir, "a folder", id="folder"),
        pytest.param(lambda path: path.symlink_to(path.parent), "a symbolic link", id="link"),
        pytest.param(lambda path: path.symlink_to("nowhere"), "a symbolic link", id="dangling"),
        pytest.param(os.mkfifo, "no ordinary file", id="pipe"),
    ],
)
def test_what_is_no_file_is_a_sentence_and_stays(make, what: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / "a")
    before = (tmp_path / "a").lstat()
    with pytest.raises(JobError, match=f"a is {what}: name a file of its own"):
        write_named(stores(), str(tmp_path / "a"), [b"new"], "text/plain")
    assert (tmp_path / "a").lstat() == before


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["failures", "JOB", "--out"], id="failures"),
        pytest.param(["sheet", "JOB", "--rows", "sku", "--columns", "season", "--out"], id="sheet"),
        pytest.param(["sheet", "JOB", "--pick", "row-1", "--out"], id="picked"),
        pytest.param(["diff", "JOB", "JOB", "--sheet"], id="diff"),
    ],
)
def test_every_command_that_writes_one_file_says_so(
    command: list[str], finished_job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    named = [str(finished_job) if word == "JOB" else word for word in command]
    assert main([*named, str(tmp_path / "link")]) == 2
    assert "link is a symbolic link: name a file of its own." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["link"]
