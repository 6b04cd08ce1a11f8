"""Results: which outcome of a row counts, and what a closed job holds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.cluster.protocol.unit import Outcome
from pressrun.jobs.folder.job_file import Job
from pressrun.jobs.folder.result_schema import busy_shares, read_parts, read_results
from pressrun.jobs.results.results import Results
from pressrun.pipeline.checks.finding import Finding
from pressrun.pipeline.errors import StorageError
from pressrun.pipeline.finishing.codec import encode_picture
from pressrun.pipeline.finishing.metadata import GENERATED, Record, write_xmp
from tests.opening import open_store

JOB = Job("m.parquet", 3, "d", "mini", "f00d", "fp32", "png", "{custom_id}")
MANIFEST = pa.table({"custom_id": ["a", "b", "c"], "seed": [1, 2, 3], "sku": ["x", "y", "z"]})


def results(folder: Path) -> Results:
    return Results(open_store(str(folder)), JOB, MANIFEST, ["sku"])


def outcome(row: int, status: str = "succeeded", code: str | None = None) -> Outcome:
    return Outcome(row, MANIFEST["custom_id"][row].as_py(), status, error_code=code)


def statuses(folder: Path) -> list[tuple[str, str]]:
    table = read_results(open_store(str(folder)), ())
    return list(zip(table["custom_id"].to_pylist(), table["status"].to_pylist(), strict=True))


def test_a_part_that_is_listed_but_not_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/part-000000.parquet").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="lists a part that is not there"):
        read_parts(open_store(str(tmp_path)))


def test_a_closed_job_has_one_row_per_request_in_manifest_order(tmp_path: Path) -> None:
    run = results(tmp_path)
    run.add([outcome(2), outcome(0)])
    run.flush()
    run.add([outcome(1)])
    run.close()
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["part-000000.parquet"]
    assert statuses(tmp_path) == [("a", "succeeded"), ("b", "succeeded"), ("c", "succeeded")]


def test_results_carry_the_customers_columns(tmp_path: Path) -> None:
    run = results(tmp_path)
    run.add([outcome(1)])
    run.close()
    [row] = pq.read_table(tmp_path / "results/part-000000.parquet").to_pylist()
    assert (row["sku"], row["seed"], row["model"]) == ("y", 2, "mini")


@pytest.mark.parametrize(
    ("first", "then", "counts"),
    [
        pytest.param("failed", "succeeded", "succeeded", id="mended"),
        pytest.param("failed", "rejected", "rejected", id="the later of two failures"),
        pytest.param("succeeded", "failed", "succeeded", id="a picture that is there counts more than a failure"),
    ],
)
def test_the_outcome_that_counts(first: str, then: str, counts: str, tmp_path: Path) -> None:
    for status in (first, then):
        run = results(tmp_path)
        run.add([outcome(0, status)])
        run.flush()
    assert statuses(tmp_path) == [("a", counts)]


@pytest.mark.parametrize("standing", ["render 0", "render 1"])
def test_of_a_row_with_pictures_of_two_seeds_the_one_that_stands_counts(standing: str, tmp_path: Path) -> None:
    place = open_store(str(tmp_path))
    record = Record("a", 1, standing, "mini", "f00d", "cpu", "fp32")
    place.put("images/a.png", encode_picture(np.zeros((8, 8, 3), np.uint8), "png", write_xmp(record, GENERATED)))
    runs = [results(tmp_path) for _ in range(2)]  # two drivers, whose parts have no order
    for run, key in zip(runs, ("render 0", "render 1"), strict=True):
        run.add([replace(outcome(0), image="images/a.png", render_key=key)])
        run.flush()
    [told] = runs[0].pictures(["seed"])[1].to_pylist()
    assert told["render_key"] == standing
    assert runs[1].close()["render_key"].to_pylist() == [standing]


def test_a_picture_whose_next_seed_was_rejected_stands_and_tells_of_that_seed(tmp_path: Path) -> None:
    for _ in range(2):  # a run that stopped and went on has tried the seed twice
        run = results(tmp_path)
        run.add([replace(outcome(0), seed=5, reseeds=1, tried=("Seed 1: It is blank.",))])
        run.flush()
        blurred = Finding("sharpness", 0.1, "rejected", "It is not sharp.")
        tried = ("Seed 1: It is blank.", "Seed 5: It nearly repeats the picture of b.")
        run.add([replace(outcome(0, "rejected", "sharpness"), seed=9, reseeds=2, tried=tried, findings=(blurred,))])
        run.flush()
    [row] = run.close().to_pylist()
    assert (row["status"], row["seed"], row["reseeds"]) == ("succeeded", 5, 1)
    assert row["findings"].split("\n") == [*tried, "Seed 9: It is not sharp."]


def test_customers_columns_may_have_any_name(tmp_path: Path) -> None:
    names = ["__filename", "__fragment_index", "__last_in_fragment", "", "image.url", "custom_id "]
    table = MANIFEST.drop_columns("sku")
    for name in names:
        table = table.append_column(name, pa.array(["x", None, ""]))
    for number in range(2):
        run = Results(open_store(str(tmp_path)), JOB, table, names)
        run.add([outcome(0, "failed"), outcome(2)])
        assert run.close().select(names).to_pylist() == [dict.fromkeys(names, "x"), dict.fromkeys(names, "")], number
    assert statuses(tmp_path) == [("a", "failed"), ("c", "succeeded")]


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda data: data[:-9], id="cut off"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:-60] + b"\xff" * 50 + data[-10:], id="its table of contents"),
        pytest.param(lambda data: data[:4] + b"\xff" * 100 + data[104:], id="its values"),
    ],
)
def test_a_damaged_part_is_none_whatever_is_damaged(spoilt: Callable[[bytes], bytes], tmp_path: Path) -> None:
    run = results(tmp_path)
    run.add([outcome(0)])
    run.flush()
    [part] = (tmp_path / "results").iterdir()
    part.write_bytes(spoilt(part.read_bytes()))
    assert list(read_parts(open_store(str(tmp_path))).values()) == [None]


def test_a_success_whose_picture_is_gone_counts_no_more(tmp_path: Path) -> None:
    run = results(tmp_path)
    run.add([replace(outcome(0), image="images/a.png"), replace(outcome(1), image="images/b.png")])
    run.close()
    again = results(tmp_path)
    again.discard_missing(pa.array(["images/b.png"]))
    assert again.settled.tolist() == [False, True, False]
    again.add([outcome(0, "failed", "worker_crash")])
    again.close()
    assert statuses(tmp_path) == [("a", "failed"), ("b", "succeeded")]


def test_a_picture_made_again_by_another_driver_is_not_disowned_a_second_time(tmp_path: Path) -> None:
    run = results(tmp_path)
    run.add([replace(outcome(0), image="images/a.png")])
    run.close()
    one, other = results(tmp_path), results(tmp_path)
    for driver in (one, other):
        driver.discard_missing(pa.array([], pa.string()))
        driver.add([replace(outcome(0), image="images/a.png")])
        driver.flush()
    for driver in (one, other):
        assert driver.close()["status"].to_pylist() == ["succeeded"]


def test_of_many_outcomes_only_some_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pressrun.jobs.results.results._PART_ROWS", 2)
    run = results(tmp_path)
    run.add(outcome(row) for row in range(3))
    assert [part.num_rows for part in read_parts(open_store(str(tmp_path))).values() if part] == [2]
    assert run.close().num_rows == 3


def test_a_refused_row_is_noted_once_however_often_it_is_refused(tmp_path: Path) -> None:
    refused = outcome(0, "failed", "bad_size")
    run = results(tmp_path)
    run.add_new([refused])
    run.close()
    again = results(tmp_path)
    again.add_new([refused])
    assert not again.changed


def test_results_tell_how_busy_the_run_was_that_wrote_last_while_it_goes_on_and_for_good(tmp_path: Path) -> None:
    def busy() -> dict[str, float]:
        return busy_shares(read_results(open_store(str(tmp_path)), ()))

    run = results(tmp_path)
    run.add([outcome(0)])
    run.flush()
    assert busy() == {}
    run.busy = lambda: {"replica": 0.9}
    run.add([outcome(1)])
    run.flush()
    assert busy() == {"replica": 0.9}
    run.busy = lambda: {"replica": 0.97}
    run.close()
    assert busy() == {"replica": 0.97}
    again = results(tmp_path)
    again.add([outcome(2)])
    again.close()
    assert busy() == {"replica": 0.97}, "what only closes a job has nothing to tell"
