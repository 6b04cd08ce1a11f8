"""The audit finds whatever is not as it was written."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.folder.job_file import fingerprint_of, freeze, frozen_digest, read_frozen
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import decoded, encode_picture
from pressrun.pipeline.finishing.metadata import read_record, write_xmp
from pressrun.pipeline.finishing.spec import described_digest
from tests.conftest import Pressrun, write_manifest
from tests.jobs.night_jobs import drawn, make_night
from tests.opening import open_store

RENDITIONS = """
[[renditions]]
name = "square"
width = 96
height = 96
format = "jpeg"

[[renditions]]
name = "thumb"
width = 48
height = 48
fit = "inside"
format = "webp"
"""
Rows = list[dict[str, Any]]


def kinds(job: Path) -> list[str]:
    return [wrong.kind for wrong in verify(open_store(str(job))).discrepancies]


def unchecked(job: Path) -> str:
    return "\n".join(verify(open_store(str(job))).unchecked)


@contextmanager
def told(job: Path) -> Iterator[Rows]:
    """The rows of a job's results, which are written again as they are left."""
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    rows = table.to_pylist()
    yield rows
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)


@contextmanager
def described(job: Path, name: str = "job.json") -> Iterator[dict[str, Any]]:
    """What one of a job's JSON files says, which is written again as it is left."""
    what = json.loads((job / name).read_text())
    yield what
    (job / name).write_text(json.dumps(what))


@contextmanager
def frozen(job: Path) -> Iterator[Rows]:
    """The rows of a job's manifest, which are written again as they are left, so that job.json knows them by digest,
    but not by its fingerprint."""
    table = read_frozen((job / "manifest.parquet").read_bytes())
    rows = table.to_pylist()
    yield rows
    data = freeze(pa.Table.from_pylist(rows, schema=table.schema))
    (job / "manifest.parquet").write_bytes(data)
    with described(job) as what:
        what |= {"rows": len(rows), "manifest_digest": frozen_digest(data)}


def sign_off(job: Path) -> None:
    """Make the fingerprint of job.json that of its fields."""
    with described(job) as what:
        what["fingerprint"] = fingerprint_of(what)


def put(job: Path, row: dict[str, Any], data: bytes) -> None:
    """Write a picture, or a rendition, that its row tells of."""
    (job / row["image"]).write_bytes(data)
    row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def shrunk(data: bytes, format: str) -> bytes:
    """A black picture of 16 × 16 pixels with the record of another."""
    record = read_record(data)
    assert record is not None
    return encode_picture(np.zeros((16, 16, 3), np.uint8), format, write_xmp(record))


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
    with told(job) as rows:
        rows.pop(0)
    assert kinds(job) == ["missing_result", "extra_picture", "summary"]


def test_a_doubled_result_row_is_found(job: Path) -> None:
    with told(job) as rows:
        rows.append(rows[0])
    assert kinds(job) == ["double_result"]


def test_a_row_that_failed_before_it_succeeded_is_no_discrepancy_while_the_job_goes_on(job: Path) -> None:
    (job / "summary.json").unlink()
    with told(job) as rows:
        rows.insert(0, {**rows[0], "status": "failed"})
    assert kinds(job) == ["unfinished"]


def test_two_pictures_that_changed_places_are_found(job: Path) -> None:
    one, other = job / "images/row-3.png", job / "images/row-4.png"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert kinds(job) == ["wrong_bytes", "wrong_bytes"]


def test_a_job_without_its_summary_is_not_done(job: Path) -> None:
    (job / "summary.json").unlink()
    assert kinds(job) == ["unfinished"]


def test_a_row_removed_from_results_and_summary_is_found(job: Path) -> None:
    with told(job) as rows:
        (job / rows.pop()["image"]).unlink()
    with described(job, "summary.json") as summary:
        summary |= {"rows": summary["rows"] - 1, "succeeded": summary["succeeded"] - 1}
    assert kinds(job) == ["missing_result", "summary"]


def test_a_row_removed_from_everything_but_the_fingerprint_is_found(job: Path) -> None:
    with told(job) as rows:
        (job / rows.pop()["image"]).unlink()
    with described(job, "summary.json") as summary:
        summary |= {"rows": summary["rows"] - 1, "succeeded": summary["succeeded"] - 1}
    with frozen(job) as requests:
        requests.pop()
    assert kinds(job) == ["job"]


def test_a_manifest_lowered_to_hide_a_row_is_found(job: Path) -> None:
    digest = json.loads((job / "job.json").read_text())["manifest_digest"]
    with frozen(job) as requests:
        requests.pop()
    with described(job) as what:
        what["manifest_digest"] = digest
    found = verify(open_store(str(job))).discrepancies
    assert {(wrong.kind, wrong.subject) for wrong in found} >= {("job", "job.json"), ("manifest", "manifest.parquet")}


def test_a_prompt_changed_after_the_fact_is_found_by_its_render_key(job: Path) -> None:
    with frozen(job) as requests:
        requests[3]["prompt"] = "a green mug"
    sign_off(job)
    [wrong] = verify(open_store(str(job))).discrepancies
    assert (wrong.kind, wrong.subject) == ("wrong_render_key", "row-3")


def test_two_pictures_swapped_together_with_what_the_results_say_of_their_bytes_are_found(job: Path) -> None:
    with told(job) as rows:
        first, second = ((job / row["image"]).read_bytes() for row in rows[3:5])
        put(job, rows[3], second)
        put(job, rows[4], first)
    assert kinds(job) == ["wrong_record", "wrong_record"]


def test_a_picture_under_another_name_than_its_row_s_is_found(job: Path) -> None:
    with told(job) as rows:
        (job / "images/row-3.png").rename(job / "images/other.png")
        rows[3]["image"] = "images/other.png"
    [wrong] = verify(open_store(str(job))).discrepancies
    assert (wrong.kind, wrong.subject) == ("wrong_name", "row-3")


def test_a_smaller_picture_is_found_although_record_and_results_tell_of_it(job: Path) -> None:
    with told(job) as rows:
        put(job, rows[3], shrunk((job / rows[3]["image"]).read_bytes(), "png"))
        rows[3] |= {"width": 16, "height": 16}
    assert kinds(job) == ["wrong_size"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        pytest.param({"status": "done"}, {"unknown_status", "extra_picture", "summary"}, id="an unknown status"),
        pytest.param({"status": None}, {"unknown_status", "extra_picture", "summary"}, id="no status"),
        pytest.param({"custom_id": None}, {"unknown_result", "missing_result", "extra_picture", "summary"}, id="no id"),
        pytest.param(
            {"custom_id": "x"}, {"unknown_result", "missing_result", "extra_picture", "summary"}, id="strange"
        ),
        pytest.param(
            {"status": "failed"}, {"missing_error", "failed_picture", "extra_picture", "summary"}, id="failed, pictured"
        ),
        pytest.param(
            {"status": "rejected", "image": None, "error_code": "text", "error_message": ""},
            {"missing_error", "extra_picture", "summary"},
            id="rejected without a sentence",
        ),
        pytest.param({"image": None}, {"missing_picture", "extra_picture"}, id="no picture"),
        pytest.param({"sha256": None}, {"missing_value", "wrong_bytes"}, id="no digest"),
        pytest.param({"render_key": None}, {"missing_value", "wrong_record"}, id="no render key"),
        pytest.param({"width": 64}, {"wrong_size"}, id="a lower width"),
        pytest.param({"format": "webp"}, {"wrong_format"}, id="another format"),
        pytest.param({"model": "flux2-klein-4b"}, {"wrong_model"}, id="another model"),
        pytest.param({"model_digest": "0" * 64}, {"wrong_model"}, id="another model digest"),
        pytest.param({"seed": 7}, {"wrong_seed"}, id="another seed"),
        pytest.param({"reseeds": 1}, {"wrong_seed", "wrong_render_key"}, id="a seed that was never tried"),
        pytest.param({"reseeds": 2**31 - 1}, {"wrong_render_key"}, id="more seeds than can be tried"),
        pytest.param({"finish_key": "0" * 64}, {"wrong_finish_key", "wrong_record"}, id="another finish key"),
        pytest.param(
            {"image": "images/row-4.png"}, {"wrong_name", "shared_picture", "extra_picture", "wrong_bytes"}, id="shared"
        ),
        pytest.param({"flags": "sharpness"}, {"summary"}, id="a flag that the summary does not count"),
    ],
)
def test_a_result_that_was_tampered_with_is_found(values: dict[str, Any], found: set[str], job: Path) -> None:
    with told(job) as rows:
        rows[3] |= values
    assert set(kinds(job)) == found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        pytest.param("summary.json", {"succeeded": 13}, id="a lower count"),
        pytest.param("summary.json", {"rejected": 1}, id="a higher count"),
        pytest.param("summary.json", {"rows": 15}, id="more rows"),
        pytest.param("summary.json", {"pending": 1}, id="a row pending"),
        pytest.param("summary.json", {"stopped": "Interrupted."}, id="stopped"),
        pytest.param("summary.json", {"succeeded": "all"}, id="no count"),
        pytest.param("job.json", {"rows": 13}, id="rows"),
        pytest.param("job.json", {"precision": "bf16"}, id="precision"),
        pytest.param("job.json", {"name": "{sku}"}, id="name template"),
        pytest.param("job.json", {"finishing": {"format": "png", "sign": True}}, id="finishing spec"),
        pytest.param("job.json", {"rows": "fourteen"}, id="no number of rows"),
        pytest.param("job.json", {"format": "gif"}, id="no format"),
    ],
)
def test_a_tampered_file_is_found(name: str, values: dict[str, Any], job: Path) -> None:
    with described(job, name) as what:
        what |= values
    assert name.removesuffix(".json") in kinds(job)


@pytest.mark.parametrize("page", ["index.html", "metadata.csv"])
def test_a_finished_job_without_a_page_is_found(page: str, job: Path) -> None:
    (job / page).unlink()
    assert kinds(job) == ["missing_page"]


def test_a_part_whose_columns_are_something_else_is_damaged(job: Path) -> None:
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    width = table.column_names.index("width")
    pq.write_table(table.set_column(width, "width", pa.array(["wide"] * table.num_rows)), part)
    assert kinds(job)[0] == "results"


def test_a_manifest_without_a_column_of_ours_is_damaged(job: Path) -> None:
    pq.write_table(pq.read_table(job / "manifest.parquet").drop_columns(["seed"]), job / "manifest.parquet")
    assert kinds(job) == ["manifest"]


def test_a_reference_that_was_another_one_is_found_by_its_rows_render_keys(job: Path) -> None:
    noted = pq.read_table(job / "references.parquet")
    digests = pa.array(["0" * 64] * noted.num_rows)
    pq.write_table(noted.set_column(noted.column_names.index("sha256"), "sha256", digests), job / "references.parquet")
    found = verify(open_store(str(job))).discrepancies
    assert {(wrong.kind, wrong.subject) for wrong in found} == {
        ("wrong_render_key", "row-9"),
        ("wrong_render_key", "row-10"),
    }


def test_render_keys_of_references_that_are_not_noted_are_said_to_be_unchecked(job: Path) -> None:
    (job / "references.parquet").unlink()
    assert kinds(job) == []
    assert "The render keys of 2 rows were not made again" in unchecked(job)


@pytest.fixture(scope="module")
def with_renditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of two rows with two renditions. Never to be changed: copy it."""
    folder = tmp_path_factory.mktemp("renditions")
    rows = [
        {"custom_id": f"mug-{number}", "prompt": "a red mug", "width": 128, "height": 96, "steps": 2, "creator": "Ada"}
        for number in range(2)
    ]
    (folder / "finish.toml").write_text(RENDITIONS)
    spec = JobSpec(str(write_manifest(folder / "in", rows)), str(folder / "out"), finish=str(folder / "finish.toml"))
    assert render(spec).exit_code == 0
    return folder / "out"


def _drop_one(job: Path, rows: Rows) -> None:
    (job / rows[0]["renditions"].pop()["image"]).unlink()


def _move_one(job: Path, rows: Rows) -> None:
    rendition = rows[0]["renditions"][0]
    moved = rendition["image"].replace("@square", "@oblong")
    (job / rendition["image"]).rename(job / moved)
    rendition["image"] = moved


def _shrink_one(job: Path, rows: Rows) -> None:
    rendition = rows[0]["renditions"][1]
    put(job, rendition, shrunk((job / rendition["image"]).read_bytes(), "webp"))
    rendition |= {"width": 16, "height": 16}


def _swap_two(job: Path, rows: Rows) -> None:
    one, other = (row["renditions"][0] for row in rows)
    first, second = ((job / each["image"]).read_bytes() for each in (one, other))
    put(job, one, second)
    put(job, other, first)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lambda job, rows: None, [], id="as it should be"),
        pytest.param(_drop_one, ["wrong_renditions"], id="one dropped"),
        pytest.param(_move_one, ["wrong_renditions"], id="one elsewhere"),
        pytest.param(_shrink_one, ["wrong_size"], id="one of another size"),
        pytest.param(_swap_two, ["wrong_record", "wrong_record"], id="two swapped"),
    ],
)
def test_a_row_has_the_renditions_of_its_job_s_spec(
    spoil: Callable[[Path, Rows], None], found: list[str], with_renditions: Path, tmp_path: Path
) -> None:
    job = Path(shutil.copytree(with_renditions, tmp_path / "out"))
    with told(job) as rows:
        spoil(job, rows)
    assert kinds(job) == found


def test_a_rendition_dropped_from_the_spec_as_well_is_found_by_finish_keys(
    with_renditions: Path, tmp_path: Path
) -> None:
    job = Path(shutil.copytree(with_renditions, tmp_path / "out"))
    with told(job) as rows:
        for row in rows:
            (job / row["renditions"].pop()["image"]).unlink()
    with described(job) as what:
        what["finishing"]["renditions"].pop()
        what["finishing_digest"] = described_digest(what["finishing"])
    sign_off(job)
    assert kinds(job) == ["wrong_finish_key", "wrong_finish_key"]


def test_a_spec_of_a_later_version_is_said_to_be_unchecked(job: Path) -> None:
    with described(job) as what:
        what["finishing"]["watermark"] = {"text": "draft"}
        what["finishing_digest"] = described_digest(what["finishing"])
    sign_off(job)
    assert kinds(job) == []
    assert "knows more than this version" in unchecked(job)


def test_what_file_browsers_leave_among_the_pictures_is_told_apart_from_pictures(tmp_path: Path) -> None:
    night = make_night(str(tmp_path / "night"), {"mug": drawn("mug"), "lamp": None})
    for path in ("index.html", "metadata.csv"):
        night.put(path, b"")
    for name in (".DS_Store", "Thumbs.db", "._mug.png", "@eaDir/mug.png/SYNOPHOTO_THUMB_M.jpg"):
        night.put(f"images/{name}", b"what a file browser left")
    night.put("notes.txt", b"none of an audit's business")
    audit = verify(night)
    assert (audit.discrepancies, audit.pictures) == ((), 1)
    assert any("4 files that file browsers left in images/" in sentence for sentence in audit.unchecked)


def test_that_signatures_were_not_read_is_said(job: Path) -> None:
    assert "`signatures`" not in unchecked(job)
    with described(job) as what:
        what["finishing"]["sign"] = True
    assert "add `signatures`" in unchecked(job)


_OF_TODAY = (
    *("finish_key", "renditions", "batch_rows", "reseeds", "flags", "findings", "likeness"),
    *(
        f"check_{name}{what}"
        for name in ("blank", "sharpness", "text", "duplicate", "policy", "classifier")
        for what in ("", "_score")
    ),
)


def test_a_job_from_before_there_were_finishing_specs_is_as_it_should_be(job: Path) -> None:
    for name in ("references.parquet", "metadata.csv", "timeline.json"):
        (job / name).unlink()
    with told(job) as rows:
        for row in rows:
            data = (job / row["image"]).read_bytes()
            record = read_record(data)
            assert record is not None
            put(job, row, encode_picture(decoded(data), "png", write_xmp(replace(record, finish_key=""))))
    [part] = (job / "results").iterdir()
    pq.write_table(pq.read_table(part).drop_columns(list(_OF_TODAY)), part)
    with described(job, "summary.json") as summary:
        for name in ("flagged", "pending", "stopped", "changes"):
            del summary[name]
    with described(job) as what:
        del what["finishing"], what["finishing_digest"]
        names = ("rows", "manifest_digest", "model_digest", "precision", "format", "name")
        text = json.dumps({name: what[name] for name in names}, sort_keys=True)
        what["fingerprint"] = hashlib.sha256(text.encode()).hexdigest()
    assert kinds(job) == []
    assert "The finish keys of 14 rows were not made again" in unchecked(job)


def test_many_of_a_kind_are_told_of_the_first_few_and_counted(job: Path, pressrun: Pressrun) -> None:
    for picture in sorted((job / "images").iterdir())[:7]:
        picture.unlink()
    said = pressrun("verify", job)
    lines = [line for line in said.out.splitlines() if not line.startswith("not checked: ")]
    assert [line.partition(":")[0] for line in lines[:-1]] == ["missing_picture"] * 6
    assert "… and 2 more" in lines[5] and lines[-1].endswith(": 7 discrepancies.")
    assert len(pressrun("verify", job, "--json").json["discrepancies"]) == 7


def test_what_was_not_checked_is_said_after_the_verdict(job: Path, pressrun: Pressrun) -> None:
    verdict, *rest = pressrun("verify", job).out.splitlines()
    assert verdict == "14 rows, 14 pictures: all is as it should be."
    assert rest == [f"not checked: {sentence}" for sentence in pressrun("verify", job, "--json").json["unchecked"]]
    assert any("Nothing was rendered again" in line for line in rest)


def test_a_job_that_was_not_signed_has_no_signatures_to_read(job: Path) -> None:
    with pytest.raises(JobError, match=r"rendered without `sign`: leave out `signatures`\.$"):
        verify(open_store(str(job)), signatures=True)
