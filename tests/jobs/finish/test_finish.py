"""A job that is finished by a spec: what comes out, what the audit counts, and what a resume makes again."""

import csv
import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun import JobSpec, render
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.folder.job_file import fingerprint_of
from pressrun.jobs.results.status import read_status
from pressrun.jobs.run.forecast import forecast
from pressrun.pipeline.finishing.codec import encode_picture
from pressrun.pipeline.finishing.metadata import read_properties, read_record, write_xmp
from tests.conftest import Pressrun, write_manifest
from tests.opening import open_store

SPEC = """
[provenance]
copyright = "© {year} Example"

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
quality = 70
"""


def results(job: Path) -> pa.Table:
    [part] = (job / "results").iterdir()
    return pq.read_table(part)


def discrepancies(job: Path) -> list[str]:
    return [wrong.kind for wrong in verify(open_store(str(job))).discrepancies]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of three rows with two renditions; in/ has its manifest and spec. Never to be changed: copy it."""
    folder = tmp_path_factory.mktemp("finish")
    mug = {"prompt": "a red mug", "width": 128, "height": 96, "steps": 2, "creator": "Ada", "year": 2026, "size": -3}
    rows = [
        {"custom_id": f"mug-{i}", **mug, "keywords": ["mug", "red"], "note": "=cmd()", "=x": "-1", "path": i}
        for i in range(3)
    ]
    manifest = write_manifest(folder / "in", rows)
    (folder / "in/finish.toml").write_text(SPEC)
    ended = Pressrun(folder)("render", manifest, "--out", folder / "out", "--finish", folder / "in/finish.toml")
    assert ended.code == 0, ended.err
    return folder


def test_every_row_lists_its_renditions_and_the_audit_counts_them(finished: Path) -> None:
    table = results(finished / "out")
    for row in table.to_pylist():
        assert [each["image"] for each in row["renditions"]] == [
            f"images/{row['custom_id']}@square.jpg",
            f"images/{row['custom_id']}@thumb.webp",
        ]
        assert [(each["width"], each["height"]) for each in row["renditions"]] == [(96, 96), (48, 36)]
    audit = verify(open_store(str(finished / "out")))
    assert (audit.pictures, audit.discrepancies) == (9, ())


def test_the_sidecar_has_a_line_for_every_picture_with_its_captions_and_the_customers_columns(finished: Path) -> None:
    with (finished / "out/metadata.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["path"] for line in lines[:4]] == [
        "images/mug-0.png",
        "images/mug-0@square.jpg",
        "images/mug-0@thumb.webp",
        "images/mug-1.png",
    ]
    assert len(lines) == 9
    line = lines[5]
    assert (line["custom_id"], line["rendition"], line["width"], line["height"]) == ("mug-1", "thumb", "48", "36")
    assert (line["creator"], line["copyright"], line["keywords"]) == ("Ada", "© 2026 Example", "mug|red")
    assert line["digital_source_type"].endswith("/trainedAlgorithmicMedia")
    assert (line["note"], line["size"], line["manifest_path"]) == ("'=cmd()", "-3", "1")
    assert line["'=x"] == "'-1" and "=x" not in line, "a header is a cell as well"
    assert "manifest_creator" not in line


def test_every_picture_says_whose_it_is(finished: Path) -> None:
    for path in sorted((finished / "out/images").iterdir()):
        said = read_properties(path.read_bytes())
        assert said["dc:creator"] == ["Ada"] and said["dc:rights"] == "© 2026 Example"
        assert said["dc:subject"] == ["mug", "red"]


def test_the_audit_finds_a_rendition_that_is_missing_or_spoilt_or_too_many(finished: Path, tmp_path: Path) -> None:
    job = shutil.copytree(finished / "out", tmp_path / "out")
    (job / "images/mug-0@square.jpg").unlink()
    (job / "images/mug-1@square.jpg").write_bytes((job / "images/mug-2@square.jpg").read_bytes())
    (job / "images/mug-1@large.jpg").write_bytes(b"?")
    assert discrepancies(job) == ["missing_picture", "wrong_bytes", "extra_picture"]


def test_a_resume_makes_a_lost_rendition_again_and_reads_what_no_result_names(finished: Path, tmp_path: Path) -> None:
    job = shutil.copytree(finished / "out", tmp_path / "out")
    before = results(job)
    [part] = (job / "results").iterdir()
    pq.write_table(before.slice(0, 1), part)  # a crash kept two results; the pictures of one of them are whole
    (job / "images/mug-2@thumb.webp").unlink()
    again = ("render", finished / "in/manifest.parquet", "--out", job, "--finish", finished / "in/finish.toml")
    ended = Pressrun(tmp_path)(*again, "--json")
    assert (ended.code, ended.json["rendered"]) == (0, 1), ended.err
    told = ["custom_id", "sha256", "render_key", "finish_key", "renditions"]
    assert results(job).select(told).equals(before.select(told))
    assert discrepancies(job) == []


def test_another_spec_is_another_job(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(SPEC.replace("70", "60"))
    again = ("render", finished / "in/manifest.parquet", "--out", finished / "out", "--finish")
    ended = Pressrun(tmp_path)(*again, tmp_path / "other.toml")
    assert ended.code == 2 and "its finishing spec differs in renditions" in ended.err
    assert Pressrun(tmp_path)(*again, tmp_path / "none.toml").code == 2


def test_a_job_from_before_there_were_finish_keys_is_read_and_resumed(
    job: Path, job_manifest: Path, pressrun: Pressrun
) -> None:
    table = results(job).drop_columns(["finish_key", "renditions"])
    rows = table.to_pylist()
    for row in rows:
        row["sha256"], row["bytes"] = _written_before(job / row["image"])
    [part] = (job / "results").iterdir()
    pq.write_table(pa.Table.from_pylist(rows[1:], schema=table.schema), part)
    there = json.loads((job / "job.json").read_text())
    del there["finishing"], there["finishing_digest"]
    (job / "job.json").write_text(json.dumps({**there, "fingerprint": fingerprint_of(there)}))
    (job / "images/row-5.png").unlink()
    assert read_status(open_store(str(job))).succeeded == 13
    ended = pressrun("render", job_manifest, "--out", job, "--json")
    assert (ended.code, ended.json["rendered"], ended.json["succeeded"]) == (0, 1, 14), ended.err
    assert discrepancies(job) == []


def _written_before(path: Path) -> tuple[str, int]:
    """Write a picture as it was written before its record had a finish key; its digest and size."""
    record = read_record(path.read_bytes())
    assert record and record.finish_key
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        data = encode_picture(np.asarray(picture), "png", write_xmp(replace(record, finish_key="")))
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), len(data)


def test_another_night_keeps_renditions_too_and_another_spec_is_a_reason_to_render(finished: Path) -> None:
    spec = JobSpec(
        str(finished / "in/manifest.parquet"),
        str(finished / "again"),
        finish=str(finished / "in/finish.toml"),
        since=str(finished / "out"),
    )
    summary = render(spec)
    assert (summary.exit_code, summary.cached, summary.rendered) == (0, 3, 0)
    assert (finished / "again/images/mug-1@thumb.webp").samefile(finished / "out/images/mug-1@thumb.webp")
    assert results(finished / "again")["renditions"] == results(finished / "out")["renditions"]
    assert discrepancies(finished / "again") == []

    (finished / "in/other.toml").write_text(SPEC.replace("quality = 70", "quality = 80"))
    other = forecast(replace(spec, out=str(finished / "other"), finish=str(finished / "in/other.toml")))
    assert (other.pending, other.changes.reasons) == (3, {"finish": 3})
    (finished / "again/images/mug-1@thumb.webp").unlink()
    gone = forecast(replace(spec, out=str(finished / "other"), since=str(finished / "again")))
    assert (gone.pending, gone.changes.reasons) == (1, {"picture missing": 1})


@pytest.mark.slow  # three commands; changed words on kept pixels are tested among the fast ones
def test_where_pixels_are_kept_another_finish_needs_no_rendering(
    finished: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    manifest = finished / "in/manifest.parquet"
    kept = pressrun("render", manifest, "--out", tmp_path / "a", "--keep-pixels", "--json")
    assert (kept.code, kept.json["rendered"]) == (0, 3), kept.err
    assert discrepancies(tmp_path / "a") == []
    spec = tmp_path / "other.toml"
    spec.write_text(SPEC + '\n[checks.blank]\naction = "reject"\nleast = 128\n')
    for more, status in ((("--finish", finished / "in/finish.toml"), "succeeded"), (("--finish", spec), "rejected")):
        out = tmp_path / status
        again = pressrun("render", manifest, "--out", out, "--keep-pixels", tmp_path / "a/pixels", "--json", *more)
        assert (again.json["rendered"], again.json[status]) == (0, 3), again.err
        assert discrepancies(out) == []
    one, other = results(tmp_path / "succeeded"), results(finished / "out")
    told = ["custom_id", "sha256", "render_key", "finish_key", "renditions", "device", "seed"]
    assert one.select(told).equals(other.select(told))
