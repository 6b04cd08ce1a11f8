"""Keeping from an earlier job: what did not change is not rendered again, and what did has its reason."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.store import Store
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.results.changes import Changes
from pressrun.jobs.results.status import read_status
from pressrun.jobs.run.forecast import Forecast, forecast
from pressrun.pipeline.errors import JobError, StorageError
from tests.conftest import mixed_rows, write_manifest
from tests.jobs.killed import Killed, killing
from tests.opening import open_store

ROWS = len(mixed_rows())


def results(job: str | Path) -> list[dict[str, Any]]:
    [part] = open_store(str(job)).paths("results/")
    return pq.ParquetFile(pa.BufferReader(open_store(str(job)).get(part))).read().to_pylist()


@pytest.fixture
def night(finished_job: Path, job_manifest: Path, tmp_path: Path) -> JobSpec:
    """Another night of the finished job's very manifest."""
    return JobSpec(str(job_manifest), str(tmp_path / "2026-11-21"), since=str(finished_job))


def test_nothing_changed_nothing_is_rendered_and_pictures_are_hard_links(night: JobSpec, finished_job: Path) -> None:
    summary = render(night)
    assert (summary.exit_code, summary.cached, summary.succeeded, summary.rendered) == (0, ROWS, 0, 0)
    out = Path(night.out)
    for path in ("images/row-3.png", "thumbs/row-3.png.webp"):
        assert (out / path).samefile(finished_job / path)
    assert verify(open_store(night.out)).discrepancies == ()
    kept, made = results(out), results(finished_job)
    told = ("custom_id", "sha256", "bytes", "render_key", "seed", "width", "device", "sku", "season", "image")
    assert [[row[name] for name in told] for row in kept] == [[row[name] for name in told] for row in made]
    assert {(row["status"], row["attempts"], row["seconds_denoise"]) for row in kept} == {("cached", 0, None)}
    again = render(night)
    assert (again.exit_code, again.cached, again.changes) == (0, ROWS, Changes(str(finished_job), 0))


def test_a_night_that_was_stopped_while_another_took_over_keeps_nothing_more(
    job_manifest: Path, finished_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_job, tmp_path / "2026-11-20")
    spec = JobSpec(str(job_manifest), str(tmp_path / "2026-11-21"), since="latest")

    def check(self: Lease) -> None:
        raise StorageError("This process was out of touch for so long that another one took over; run it again.")

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "check", check)
        stopped = render(spec)
    assert (stopped.exit_code, stopped.cached) == (3, 0) and "another one took over" in str(stopped.stopped)
    assert render(spec).cached == ROWS


def test_kept_rows_have_tonights_own_columns_and_names(night: JobSpec, tmp_path: Path) -> None:
    rows = [{**row, "season": "winter"} for row in mixed_rows()]
    manifest = write_manifest(tmp_path / "in", rows)
    spec = JobSpec(str(manifest), night.out, since=night.since, name="{season}/{custom_id}")
    assert render(spec).cached == ROWS
    assert [(row["season"], row["image"]) for row in results(night.out)][:1] == [("winter", "images/winter/row-0.png")]
    assert verify(open_store(night.out)).discrepancies == ()


def changed(index: int, **values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[index].update(values)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        pytest.param(changed(3, prompt="a green mug"), {"prompt": 1}, id="prompt"),
        pytest.param(changed(3, width=64, height=96), {"size": 1}, id="size"),
        pytest.param(changed(3, steps=3), {"settings": 1}, id="steps"),
        pytest.param(changed(3, steps=3, prompt="a green mug"), {"prompt": 1, "settings": 1}, id="both"),
        pytest.param(changed(9, references=["chair.png"]), {"reference bytes": 1}, id="another reference"),
        pytest.param(
            lambda rows: [row.update(creator="Ada" if row["custom_id"] == "row-3" else None) for row in rows],
            {"finish": 1},
            id="caption",
        ),
        pytest.param(changed(3, custom_id="another"), {"new": 1, "removed": 1}, id="renamed"),
        pytest.param(lambda rows: rows.reverse(), {}, id="order"),
        pytest.param(lambda rows: rows.pop(4), {"removed": 1}, id="removed"),
    ],
)
def test_what_changed_is_rendered_and_why_is_said(
    change: Callable[[list[dict[str, Any]]], None], reasons: dict[str, int], night: JobSpec, tmp_path: Path
) -> None:
    rows = mixed_rows()
    change(rows)
    plan = forecast(JobSpec(str(write_manifest(tmp_path / "in", rows)), night.out, since=night.since))
    assert plan.changes.reasons == reasons
    assert plan.pending == plan.changes.rows - reasons.get("removed", 0)
    assert plan.cached == plan.done == len(rows) - plan.pending
    assert not Path(night.out).exists()


def test_another_format_is_another_finish(night: JobSpec) -> None:
    plan = forecast(JobSpec(night.manifest, night.out, since=night.since, format="webp"))
    assert (plan.pending, plan.changes.reasons) == (ROWS, {"finish": ROWS})


def test_another_precision_is_another_model(night: JobSpec) -> None:
    plan = forecast(JobSpec(night.manifest, night.out, since=night.since, precision="bf16"))
    assert (plan.pending, plan.changes.reasons) == (ROWS, {"model": ROWS})


def test_a_picture_that_is_gone_and_a_row_that_failed_are_rendered(job: Path, night: JobSpec) -> None:
    (job / "images/row-3.png").unlink()
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    status = ["failed" if name == "row-4" else "succeeded" for name in table["custom_id"].to_pylist()]
    pq.write_table(table.set_column(1, "status", [status]), part)
    plan = forecast(JobSpec(night.manifest, night.out, since=str(job)))
    assert (plan.pending, plan.changes.reasons) == (2, {"no picture before": 1, "picture missing": 1})


def test_a_rejection_is_kept_as_it_is(job: Path, night: JobSpec) -> None:
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    ids = table["custom_id"].to_pylist()
    for name, value in {"status": "rejected", "image": None, "error_code": "policy", "error_message": "No."}.items():
        column = [value if id == "row-4" else old for id, old in zip(ids, table[name].to_pylist(), strict=True)]
        table = table.set_column(table.column_names.index(name), table.schema.field(name), [column])
    pq.write_table(table, part)
    (job / "images/row-4.png").unlink()
    summary = render(JobSpec(night.manifest, night.out, since=str(job)))
    assert (summary.cached, summary.rejected, summary.rendered) == (ROWS - 1, 1, 0)
    [row] = [row for row in results(night.out) if row["status"] == "rejected"]
    assert (row["custom_id"], row["error_code"], row["image"]) == ("row-4", "policy", None)
    assert verify(open_store(night.out)).discrepancies == ()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the references that are read."""
    from pressrun.cluster.references.reader import ReferenceReader

    names: list[str] = []
    real = ReferenceReader.read

    def noted(self: ReferenceReader, uri: str) -> bytes:
        names.append(Path(uri).name)
        return real(self, uri)

    monkeypatch.setattr(ReferenceReader, "read", noted)
    return names


@pytest.mark.parametrize("few", [True, False], ids=["asked for one by one", "listed"])
def test_references_are_read_again_only_when_their_stamp_changed(
    few: bool, job: Path, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pressrun.jobs.references.validators.ASKED_ONE_BY_ONE", 50 if few else 0)
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    first = str(tmp_path / "first")
    assert render(JobSpec(str(manifest), first, since=str(job))).cached == ROWS
    assert sorted(read) == ["chair.png", "mug.png"], "they lie in another place than those of the job before"

    def tonight() -> Forecast:
        read.clear()
        return forecast(JobSpec(str(manifest), str(tmp_path / "out-2"), since=first))

    assert (tonight().pending, read) == (0, [])
    os.utime(tmp_path / "in/chair.png")
    assert (tonight().pending, read) == (0, ["chair.png"])
    shutil.copy(tmp_path / "in/mug.png", tmp_path / "in/chair.png")
    plan = tonight()
    assert (plan.pending, plan.changes.reasons) == (1, {"reference bytes": 1})
    assert "chair.png" in read


def test_latest_is_the_last_finished_night_and_the_unfinished_ones_after_it(
    finished_job: Path, job_manifest: Path, tmp_path: Path
) -> None:
    nights = tmp_path / "nights"
    for name in ("2026-11-18", "2026-11-19", "2026-11-20", "2026-11-22", "trial"):
        shutil.copytree(finished_job, nights / name)
    (nights / "2026-11-21").mkdir()
    (nights / "2026-11-20/summary.json").unlink()
    (nights / "2026-11-20/images/row-3.png").unlink()
    spec = JobSpec(str(job_manifest), str(nights / "2026-11-21"), since="latest")
    summary = render(spec)
    assert (summary.cached, summary.rendered) == (ROWS, 0)
    assert (nights / "2026-11-21/images/row-4.png").samefile(nights / "2026-11-20/images/row-4.png")
    assert (nights / "2026-11-21/images/row-3.png").samefile(nights / "2026-11-19/images/row-3.png")
    assert summary.changes == Changes(str(nights / "2026-11-20"), 0)


def test_the_first_night_has_nothing_to_keep_from(job_manifest: Path, tmp_path: Path) -> None:
    plan = forecast(JobSpec(str(job_manifest), str(tmp_path / "nights/2026-11-21"), since="latest"))
    assert (plan.pending, plan.changes.since) == (ROWS, "")


@pytest.mark.parametrize(
    ("out", "since", "sentence"),
    [
        ("2026-11-21", "nowhere", "holds no job"),
        ("2026-11-21", "2026-11-21", "is this job itself"),
        ("tonight", "latest", "call it 2026-11-21"),
    ],
)
def test_an_earlier_job_that_cannot_be_meant_is_refused(
    out: str, since: str, sentence: str, job_manifest: Path, tmp_path: Path
) -> None:
    since = since if since == "latest" else str(tmp_path / since)
    with pytest.raises(JobError, match=sentence):
        render(JobSpec(str(job_manifest), str(tmp_path / out), since=since))
    assert not (tmp_path / out).exists()


def test_status_says_what_changed(night: JobSpec, tmp_path: Path) -> None:
    rows = mixed_rows()[:-1]
    rows[3]["prompt"] = ""  # fails as it stands: no picture is rendered, and nothing of it is kept
    rows[5]["prompt"] = "a green mug"
    manifest = write_manifest(tmp_path / "in", rows)
    stopped = render(JobSpec(str(manifest), night.out, since=night.since, limit=5))
    assert (stopped.exit_code, stopped.cached, stopped.failed) == (3, 4, 1)
    status = read_status(open_store(night.out))
    assert (status.cached, status.pending) == (4, ROWS - 1 - 5)
    assert status.changes == Changes(str(night.since), 1, {"removed": 1})


def test_a_night_killed_before_any_write_goes_on_to_what_it_would_have_been(
    night: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 2
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:rows])
    night = JobSpec(str(manifest), night.out, since=night.since)
    killed_before = killing(monkeypatch)
    for number in range(200):
        shutil.rmtree(night.out, ignore_errors=True)
        killed_before(number)
        try:
            render(night)
        except Killed:
            pass
        else:
            break
        killed_before(-1)
        summary = render(night)
        assert (summary.exit_code, summary.cached, summary.rendered) == (0, rows, 0), number
        assert verify(open_store(night.out)).discrepancies == (), number
    assert number > 2 * rows + 4


def upload(folder: Path, uri: str) -> Store:
    store = open_store(uri)
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and ".tmp" not in path.parts):
        store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    return store


def test_in_a_bucket_a_kept_row_refers_to_where_its_picture_was_made(
    s3_bucket: str, finished_job: Path, job_manifest: Path, tmp_path: Path
) -> None:
    first = upload(finished_job, f"{s3_bucket}/nights/2026-11-19")
    for day, since in (("20", "latest"), ("21", f"{s3_bucket}/nights/2026-11-20"), ("22", "latest")):
        summary = render(JobSpec(str(job_manifest), f"{s3_bucket}/nights/2026-11-{day}", since=since))
        assert (summary.exit_code, summary.cached, summary.rendered) == (0, ROWS, 0)
    last = f"{s3_bucket}/nights/2026-11-22"
    assert {row["image"] for row in results(last)} == {f"{first.uri}/{path}" for path in first.paths("images/")}
    assert list(open_store(last).paths("images/")) == list(open_store(last).paths("thumbs/")) == []
    assert verify(open_store(last)).discrepancies == ()

    back = JobSpec(str(job_manifest), str(tmp_path / "here"), since=last)
    assert render(back).cached == ROWS
    assert verify(open_store(back.out)).discrepancies == ()
    assert (tmp_path / "here/thumbs/row-3.png.webp").exists()

    first.put("images/row-3.png", b"other bytes")
    first.delete("images/row-4.png")
    found = {(wrong.kind, wrong.subject) for wrong in verify(open_store(last)).discrepancies}
    assert found == {
        ("wrong_bytes", f"{first.uri}/images/row-3.png"),
        ("missing_picture", f"{first.uri}/images/row-4.png"),
    }
    plan = forecast(JobSpec(str(job_manifest), f"{s3_bucket}/nights/2026-11-23", since="latest"))
    assert plan.changes.reasons == {"picture missing": 1}
