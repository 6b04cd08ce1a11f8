"""The audit finds whatever is not as it was written."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.store import open_store
from jobs import JobSpec, render
from jobs.verify import verify
from pipeline.errors import JobError
from tests.conftest import Pressrun, write_manifest


def kinds(job: Path) -> list[str]:
    return [wrong.kind for wrong in verify(open_store(str(job))).discrepancies]


def test_a_finished_job_is_as_it_should_be(job: Path) -> None:
    assert kinds(job) == []


def test_a_job_of_which_nothing_could_be_rendered_is_as_it_should_be(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", [{"custom_id": "a", "prompt": ""}])
    assert render(JobSpec(str(manifest), str(tmp_path / "out"))).exit_code == 1
    assert kinds(tmp_path / "out") == []


def test_a_flipped_byte_is_found(job: Path) -> None:
    picture = job / "images/row-3.png"
    data = bytearray(picture.read_bytes())
    data[-20] ^= 1
    picture.write_bytes(data)
    assert kinds(job) == ["wrong_bytes"]


def test_a_missing_picture_is_found(job: Path) -> None:
    (job / "images/row-3.png").unlink()
    assert kinds(job) == ["missing_picture"]


def test_a_picture_too_many_is_found(job: Path) -> None:
    (job / "images/stranger.png").write_bytes((job / "images/row-3.png").read_bytes())
    assert kinds(job) == ["extra_picture"]


def test_a_missing_result_row_is_found(job: Path) -> None:
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    pq.write_table(table.slice(1), part)
    assert kinds(job) == ["missing_result", "extra_picture", "summary"]


def test_a_doubled_result_row_is_found(job: Path) -> None:
    [part] = (job / "results").iterdir()
    pq.write_table(pq.read_table(part).slice(0, 1), part.with_name("part-000007-0a-000000.parquet"))
    assert kinds(job) == ["double_result"]


def test_two_pictures_that_changed_places_are_found(job: Path) -> None:
    one, other = job / "images/row-3.png", job / "images/row-4.png"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert kinds(job) == ["wrong_bytes", "wrong_bytes"]


def test_a_job_without_its_summary_is_not_done(job: Path) -> None:
    (job / "summary.json").unlink()
    assert kinds(job) == ["unfinished"]


def test_many_of_a_kind_are_told_of_the_first_few_and_counted(job: Path, pressrun: Pressrun) -> None:
    for picture in sorted((job / "images").iterdir())[:7]:
        picture.unlink()
    said = pressrun("verify", job)
    lines = said.out.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["missing_picture"] * 6
    assert "… and 2 more" in lines[5] and lines[-1].endswith(": 7 discrepancies.")
    assert len(pressrun("verify", job, "--json").json["discrepancies"]) == 7


def test_a_job_that_was_not_signed_has_no_signatures_to_read(job: Path) -> None:
    with pytest.raises(JobError, match=r"rendered without --sign: leave out --signatures\.$"):
        verify(open_store(str(job)), signatures=True)
