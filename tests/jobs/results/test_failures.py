"""The failed rows as a manifest: rendered again as it stands, it is refused for the same reasons."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.folder.job_file import create_job, read_manifest_copy
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.jobs.results.results import Results
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.tables.raw_cells import COLUMN
from tests.opening import open_store, resolved

TEXT = """custom_id;prompt;width;height;steps;guidance;seed;references;sku
good;a mug;128;128;2;1,5;7;;001
words;a mug;abc;-5;many;dear;none;;002
large;a mug;3e9;99999999999;0;1e300;9223372036854775808;;003
empty;;64;64;2;1;3;[1];004
"""


def failed_job(manifest: Path, out: Path) -> ResolvedJob:
    """A job whose bad rows have failed; the good ones wait."""
    order = resolved(JobSpec(str(manifest), str(out)))
    store = open_store(str(out))
    store.prepare()
    create_job(store, order.job, order.frozen)
    results = Results(store, order.job, order.manifest.table, order.manifest.customer_columns)
    results.add(order.refusals())
    results.flush()
    return order


def reasons(order: ResolvedJob) -> dict[str, tuple[str, str]]:
    return {refused.custom_id: (refused.error_code, refused.error_message) for refused in order.refusals()}


def bad_manifest(folder: Path, kind: str) -> Path:
    if kind == "text":
        (folder / "m.csv").write_text(TEXT)
        return folder / "m.csv"
    if kind == "JSON lines":
        odd = ["abc", True, {}, [1], -5, 3e9, 64.5, float("nan"), "512 px", None]
        lines = [{"custom_id": f"r{n}", "prompt": "a mug", "width": cell, "sku": n} for n, cell in enumerate(odd)]
        lines += [{"custom_id": f"p{n}", "prompt": cell} for n, cell in enumerate([["a", "b"], {"a": 1}, False])]
        (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder / "m.jsonl"
    broken = pa.StringArray.from_buffers(4, *pa.array([b"a", b"b", b"\xff c", b"d" * 20_000]).buffers()[1:])
    table = {
        "custom_id": list("abcd"),
        "prompt": broken,
        "width": [float("nan"), -5.0, 64.0, 64.0],
        "seed": pa.array([2**64 - 1, 2, 2**63, 4], pa.uint64()),
        "references": [None, ["file:///x"], ["nowhere.png"], [None]],
        "sku": ["x" * 1_100_000, "\0", "é", ""],
    }
    pq.write_table(pa.table(table), folder / "m.parquet", use_dictionary=False)
    return folder / "m.parquet"


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize("kind", ["text", "JSON lines", "numbers"])
def test_failures_rendered_unmended_fail_for_the_same_reasons(kind: str, ending: str, tmp_path: Path) -> None:
    first = reasons(failed_job(bad_manifest(tmp_path, kind), tmp_path / "out"))
    assert len(first) >= 3
    assert main(["failures", str(tmp_path / "out"), "--out", str(tmp_path / f"again.{ending}")]) == 0
    again = reasons(resolved(JobSpec(str(tmp_path / f"again.{ending}"), str(tmp_path / "out-2"))))
    if ending == "jsonl":  # which has no way to write a byte that is no character, and its own word for NaN
        assert again.keys() == first.keys()
        first = {name: (code, words.lower()) for name, (code, words) in first.items() if "UTF-8" not in words}
        again = {name: (again[name][0], again[name][1].lower()) for name in first}
    assert again == first


def test_failures_say_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out")
    assert main(["failures", str(tmp_path / "out"), "--json"]) == 0
    words, large, empty = json.loads(capsys.readouterr().out)
    names = ("width", "height", "steps", "guidance", "seed")
    assert [words[name] for name in names] == ["abc", "-5", "many", "dear", "none"]
    assert [large[name] for name in names] == ["3e9", "99999999999", "0", "1e300", "9223372036854775808"]
    assert empty["references"] == "[1]" and empty["sku"] == "004" and COLUMN not in empty


def test_what_was_written_is_no_column_of_the_customers(tmp_path: Path) -> None:
    order = failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out")
    assert order.manifest.customer_columns == ["sku"]
    assert pq.read_table(tmp_path / "out/results").column_names[-1] == "sku"
    frozen = read_manifest_copy(open_store(str(tmp_path / "out")))
    assert [cells is None for cells in frozen[COLUMN].to_pylist()] == [True, False, False, False]


def test_a_manifest_without_odd_cells_is_frozen_without_the_column(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("custom_id,prompt\na,a mug\nb,\n")
    failed_job(tmp_path / "m.csv", tmp_path / "out")
    assert COLUMN not in read_manifest_copy(open_store(str(tmp_path / "out"))).column_names


def test_a_frozen_manifest_rendered_elsewhere_is_refused_for_the_same_reasons(tmp_path: Path) -> None:
    first = reasons(failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out"))
    assert reasons(resolved(JobSpec(str(tmp_path / "out/manifest.parquet"), str(tmp_path / "out-2")))) == first


@pytest.mark.parametrize("ending", ["csv", "xlsx", "json"])
def test_a_file_that_would_be_no_manifest_or_run_a_prompt_is_not_written(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out")
    assert main(["failures", str(tmp_path / "out"), "--out", str(tmp_path / f"again.{ending}")]) == 2
    assert "write .parquet or .jsonl" in capsys.readouterr().err
    assert not (tmp_path / f"again.{ending}").exists()


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_failures_go_to_a_bucket_and_are_rendered_from_there(ending: str, tmp_path: Path, s3_bucket: str) -> None:
    first = reasons(failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out"))
    assert main(["failures", str(tmp_path / "out"), "--out", f"{s3_bucket}/again.{ending}"]) == 0
    assert reasons(resolved(JobSpec(f"{s3_bucket}/again.{ending}", str(tmp_path / "out-2")))) == first


@pytest.mark.parametrize("where", ["s3://", "s3://bucket", "/proc/nowhere/a.parquet", "file://host/a.parquet"])
def test_failures_that_cannot_be_written_are_a_sentence(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed_job(bad_manifest(tmp_path, "text"), tmp_path / "out")
    assert main(["failures", str(tmp_path / "out"), "--out", where]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
