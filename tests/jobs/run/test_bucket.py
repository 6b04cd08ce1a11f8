"""The whole job in a bucket of a real S3 server."""

import json
from pathlib import Path

from pressrun.jobs.audit.verify import verify
from tests.conftest import Pressrun, mixed_rows, write_manifest
from tests.opening import open_store


def test_two_drivers_at_once_make_each_picture_once(s3_bucket: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    out = f"{s3_bucket}/run-1"
    drivers = [pressrun.start("render", manifest, "--out", out, "--json") for _ in range(2)]
    ended = [(driver.communicate(timeout=280), driver.returncode) for driver in drivers]
    for (stdout, stderr), code in ended:
        assert code == 0, stderr
        assert json.loads(stdout)["succeeded"] == len(mixed_rows())
    audit = verify(open_store(out))
    assert audit.discrepancies == ()
    assert audit.pictures == len(mixed_rows())

    again = pressrun("render", manifest, "--out", out, "--json")
    assert (again.code, again.json["rendered"]) == (0, 0)


def test_a_manifest_and_its_references_may_lie_in_a_bucket_and_a_resume_renders_the_rest(
    s3_bucket: str, pressrun: Pressrun, tmp_path: Path
) -> None:
    write_manifest(tmp_path / "in", mixed_rows()[8:12])
    store = open_store(s3_bucket)
    for path in (tmp_path / "in").iterdir():
        store.put(f"campaign/{path.name}", path.read_bytes())
    order = ("render", f"{s3_bucket}/campaign/manifest.parquet", "--out", f"{s3_bucket}/run-1", "--json")
    first = pressrun(*order, "--limit", 2)
    assert (first.code, first.json["rendered"]) == (3, 2)
    rest = pressrun(*order)
    assert (rest.code, rest.json["rendered"]) == (0, 2), rest.err
    assert verify(open_store(f"{s3_bucket}/run-1")).discrepancies == ()


def test_wrong_credentials_are_a_sentence(s3_bucket: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    secret = "not-the-secret-at-all"
    ended = pressrun("render", manifest, "--out", f"{s3_bucket}/run-1", AWS_SECRET_ACCESS_KEY=secret)
    assert ended.code == 2
    assert "AWS_SECRET_ACCESS_KEY" in ended.err and ended.err.count("\n") == 1
    assert secret not in ended.err


def test_a_missing_bucket_is_a_sentence(s3_bucket: str, pressrun: Pressrun, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "in", mixed_rows())
    ended = pressrun("render", manifest, "--out", "s3://no-such-bucket/run-1")
    assert ended.code == 2
    assert "no-such-bucket" in ended.err and ended.err.count("\n") == 1
