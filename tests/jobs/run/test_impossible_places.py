"""Places where nothing can be written, endings that nobody knows: refused before anything is rendered or read."""

from pathlib import Path

import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.cli.commands.render import _summary_words
from pressrun.jobs.results.summary import Summary


@pytest.mark.parametrize("place", ["/proc/x", "/proc/x/y", "/sys/x", "/dev/null", "/dev/null/x", "/proc/1/root/x"])
@pytest.mark.parametrize("option", ["--out", "--keep-pixels"])
def test_a_place_that_cannot_be_written_is_refused(
    option: str, place: str, job_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [] if option == "--out" else ["--out", str(tmp_path / "out")]
    assert main(["render", str(job_manifest), option, place, *other]) == 2
    assert capsys.readouterr().err.startswith("pressrun: ")


def test_a_file_that_cannot_be_written_there_is_refused(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["failures", str(job), "--out", "/proc/x.parquet"]) == 2
    assert "Cannot write /proc/x.parquet" in capsys.readouterr().err


def test_failures_to_a_file_of_another_kind_are_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["failures", "/nowhere", "--out", "again.xyz"]) == 2
    assert (
        capsys.readouterr().err
        == "pressrun: again.xyz ends with .xyz, which is no manifest; write .parquet or .jsonl.\n"
    )


@pytest.mark.parametrize(
    ("stored", "words"), [(5, "Rendered 5 pictures in 9 s"), (2, "5 pictures, stored 2 of them, in")]
)
def test_what_could_not_be_stored_is_not_counted_as_if_it_were(stored: int, words: str) -> None:
    summary = Summary("out", "mini", 9, succeeded=2, pending=7, rendered=5, stored=stored, seconds=9, stopped="Full.")
    assert words in _summary_words(summary)[1]
