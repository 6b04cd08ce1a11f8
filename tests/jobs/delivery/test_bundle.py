"""Bundles: one zip for each value of a column, complete, streamed, named by a template."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pressrun.jobs.cli.command import main
from pressrun.jobs.delivery.bundle import Bundles
from pressrun.jobs.folder.job_file import PARQUET, find_job
from pressrun.pipeline.errors import JobError
from tests.conftest import mixed_rows
from tests.opening import open_store, read_uri


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def copied_to(bucket: str, job: Path) -> str:
    store = open_store(f"{bucket}/run")
    for file in job.rglob("*"):
        if file.is_file():
            store.put(file.relative_to(job).as_posix(), file.read_bytes(), PARQUET)
    return store.uri


def test_each_value_has_a_zip_with_the_pictures_as_they_are(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", str(job), "--by", "season", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(bundle["value"], bundle["pictures"]) for bundle in said["bundles"]] == [("spring", 7), ("fall", 7)]
    for bundle in said["bundles"]:
        assert Path(bundle["path"]) == job / f"bundles/{bundle['value']}.zip"
        assert Path(bundle["path"]).stat().st_size == bundle["bytes"]
        wanted = {f"{row['custom_id']}.png" for row in mixed_rows() if row["season"] == bundle["value"]}
        found = contents(Path(bundle["path"]))
        assert set(found) == wanted
        assert all(data == (job / "images" / name).read_bytes() for name, data in found.items())
    assert not (job / "bundles/.tmp").exists()


def test_the_same_job_gives_zips_of_the_same_bytes_that_can_be_read_onwards(job: Path, tmp_path: Path) -> None:
    for place in ("one", "two"):
        list(Bundles(open_store(str(job)), "season").write(str(tmp_path / place)))
    data = (tmp_path / "one/fall.zip").read_bytes()
    assert data == (tmp_path / "two/fall.zip").read_bytes()
    assert data[6] & 8 == 0, "a picture's size stands before its bytes, so that nobody has to look for their end"


def test_a_zip_says_which_job_it_is_of_and_is_replaced_by_the_next(job: Path) -> None:
    store = open_store(str(job))
    list(Bundles(store, "season").write())
    with zipfile.ZipFile(job / "bundles/fall.zip") as file:
        assert file.comment.decode() == f"Pressrun bundle of job {find_job(store)['fingerprint']}"
    list(Bundles(store, "season", "{sku}-{custom_id}").write())
    assert "SKU 1-row-1.png" in contents(job / "bundles/fall.zip")


def somebodys_zip(comment: bytes = b"") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("logo.svg", b"not ours" * 20)
        file.comment = comment
    return data.getvalue()


@pytest.mark.parametrize("theirs", [b"", b"contract", somebodys_zip(), somebodys_zip(b"Pressrun bundle of job")])
@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_file_that_is_no_bundle_is_not_replaced_and_nothing_is_written(
    place: str, theirs: bytes, job: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    agency = open_store(f"{request.getfixturevalue('s3_bucket')}/agency" if place == "bucket" else str(tmp_path / "a"))
    agency.put("fall.zip", theirs)
    with pytest.raises(JobError, match=r"has fall\.zip already, which `pressrun bundle` did not write: choose another"):
        list(Bundles(open_store(str(job)), "season").write(agency.uri))
    assert agency.get("fall.zip") == theirs and agency.head("spring.zip") is None


def test_all_names_that_are_taken_are_told_together_be_they_folders_or_links(job: Path) -> None:
    (job / "bundles/spring.zip").mkdir(parents=True)
    (job / "bundles/fall.zip").symlink_to("nowhere")
    with pytest.raises(JobError, match=r"has spring\.zip, fall\.zip already"):
        list(Bundles(open_store(str(job)), "season").write())
    assert (job / "bundles/fall.zip").is_symlink()


def test_names_in_a_zip_follow_a_template(job: Path, tmp_path: Path) -> None:
    list(Bundles(open_store(str(job)), "season", "{sku}/{width}/{custom_id}").write(str(tmp_path)))
    assert "SKU 0/128/row-0.png" in contents(tmp_path / "spring.zip")


def test_a_picture_kept_from_another_job_has_this_jobs_name_for_it(job: Path, s3_bucket: str) -> None:
    earlier = copied_to(s3_bucket, job)
    [part] = (job / "results").iterdir()
    results = pq.read_table(part)
    images = [f"{earlier}/images/row-0.png", *results["image"].to_pylist()[1:]]
    pq.write_table(results.set_column(results.column_names.index("image"), "image", [images]), part)
    about = json.loads((job / "job.json").read_text())
    (job / "job.json").write_text(json.dumps(about | {"name": "{season}-{custom_id}"}))
    list(Bundles(open_store(str(job)), "season").write())
    assert "spring-row-0.png" in contents(job / "bundles/spring.zip")


def test_what_would_be_wrong_is_said_before_anything_is_written(job: Path) -> None:
    store = open_store(str(job))
    with pytest.raises(JobError, match="`by` chanel is no column of the manifest, which has custom_id"):
        Bundles(store, "chanel")
    with pytest.raises(JobError, match="names would be used by several rows"):
        Bundles(store, "season", "{sku}")
    with pytest.raises(JobError, match="`by` references: its values have no obvious text"):
        Bundles(store, "references")
    with pytest.raises(JobError, match="no rendition “hero”; it has none"):
        Bundles(store, "season", rendition="hero")
    assert not (job / "bundles").exists()


def test_a_damaged_picture_goes_into_no_bundle(job: Path) -> None:
    (job / "images/row-3.png").write_bytes(b"not what it was")
    with pytest.raises(JobError, match=r"images/row-3\.png has other bytes"):
        list(Bundles(open_store(str(job)), "season").write())
    assert not (job / "bundles/fall.zip").exists()


def test_rows_without_a_picture_are_counted(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [part] = (job / "results").iterdir()
    results = pq.read_table(part)
    status = ["failed", *results["status"].to_pylist()[1:]]
    pq.write_table(results.set_column(results.column_names.index("status"), "status", [status]), part)
    assert main(["bundle", str(job), "--by", "season"]) == 1
    assert "1 rows have no picture" in capsys.readouterr().out


def test_a_bundle_is_streamed_into_a_bucket(job: Path, s3_bucket: str) -> None:
    uri = copied_to(s3_bucket, job)
    [spring, _] = Bundles(open_store(uri), "season").write()
    assert spring.path == f"{uri}/bundles/spring.zip"
    assert len(read_uri(spring.path)) == spring.bytes


def test_a_large_object_goes_into_a_bucket_in_parts_and_never_stands_in_memory(s3_bucket: str) -> None:
    store = open_store(s3_bucket)
    store.put("warm", b"")
    tracemalloc.start()
    store.put_chunks("large", (bytes([number]) * (2 << 20) for number in range(100)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    entry = store.head("large")
    assert entry is not None and entry.size == 200 << 20
    assert peak < 120 << 20
    assert store.get_range("large", (200 << 20) - 1, 1) == b"\x63"
