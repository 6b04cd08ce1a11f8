"""A signed job by its command: certificates made on request, a signer that fails, and what a picture says of it."""

import hashlib
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.cluster.protocol.signing import Signing
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.folder.result_schema import SCHEMA
from pressrun.pipeline.finishing.credentials import Claim
from pressrun.pipeline.finishing.development_certificate import make_development_chain
from tests.conftest import Pressrun, write_manifest
from tests.opening import open_store

pytest.importorskip("c2pa", reason="the extra “sign” is not installed")

SIGNER = """
import pathlib, subprocess, sys
if pathlib.Path({gone!r}).exists() and sys.argv[1:] != ["again"]:
    sys.exit("the safe is locked")
data = sys.stdin.buffer.read()
command = ["openssl", "dgst", "-sha256", "-sign", {key!r}]
sys.stdout.buffer.write(subprocess.run(command, input=data, capture_output=True).stdout)
pathlib.Path({gone!r}).touch()  # it answers once, when it is tried out
"""


@pytest.mark.slow  # five commands, two of which render
def test_a_signer_that_fails_stops_the_job_and_the_same_command_goes_on(pressrun: Pressrun, tmp_path: Path) -> None:
    made = pressrun("dev-certificate", tmp_path / "dev", "--json")
    assert made.code == 0 and (tmp_path / "dev/key.pem").stat().st_mode & 0o077 == 0
    assert pressrun("dev-certificate", tmp_path / "dev").code == 2  # nothing is ever replaced
    rows = [{"custom_id": f"mug-{number}", "prompt": "a red mug", "steps": 2} for number in range(2)]
    arguments = ("render", write_manifest(tmp_path / "in", rows), "--out", tmp_path / "out", "--sign", "--json")
    script = tmp_path / "sign.py"
    script.write_text(SIGNER.format(key=made.json["key"], gone=str(tmp_path / "gone")))
    environment = {"PRESSRUN_SIGN_CERTIFICATE": made.json["certificate"]}
    stopped = pressrun(*arguments, **environment, PRESSRUN_SIGN_COMMAND=f"{sys.executable} {script}")
    assert stopped.code == 3 and "the safe is locked" in stopped.json["stopped"], stopped.err
    assert not (tmp_path / "out/images").exists()
    ended = pressrun(*arguments, **environment, PRESSRUN_SIGN_COMMAND=f"{sys.executable} {script} again")
    assert ended.code == 0, ended.err
    assert verify(open_store(str(tmp_path / "out")), signatures=True).discrepancies == ()
    picture = tmp_path / "out/images/mug-1.png"
    said = pressrun("inspect", picture)
    assert said.code == 0 and "unchanged since" in said.out and "not to be trusted" in said.out
    data = bytearray(picture.read_bytes())
    data[data.index(b"IDAT") + 100] ^= 1
    picture.write_bytes(data)
    assert pressrun("inspect", picture).code == 1
    for folder, _, names in os.walk(tmp_path / "out"):
        assert not any(b"PRIVATE KEY" in Path(folder, name).read_bytes() for name in names)


def test_all_pictures_that_are_named_are_looked_at_whatever_is_wrong_with_some(job: Path) -> None:
    pictures = sorted((job / "images").iterdir())[:2]
    told = Pressrun(job)("inspect", *pictures, job / "images", "no-such.png")
    assert told.code == 2 and all(f"{picture}: png" in told.out for picture in pictures)
    assert f"{job / 'images'} is a folder: name pictures" in told.err and "There is no" in told.err
    listed = Pressrun(job)("inspect", *pictures, "--json")
    assert [each["file"] for each in json.loads(listed.out)] == [*map(str, pictures)]


def test_pictures_whose_signature_is_missing_or_broken_are_found(job: Path) -> None:
    made = make_development_chain()
    signing = Signing(made.chain.decode(), "es256", made.key)
    claim = Claim("mug", "png", "Pressrun 0", "mini", "f00d", "trainedAlgorithmicMedia")
    [part] = (job / "results").iterdir()
    rows = pq.read_table(part).to_pylist()
    for row, signed in zip(rows, ("broken", "whole"), strict=False):
        data = signing.sign((job / row["image"]).read_bytes(), claim)
        if signed == "broken":
            data = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
        (job / row["image"]).write_bytes(data)
        row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}  # as whoever forges it would
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), part)
    there = json.loads((job / "job.json").read_text())
    there["finishing"]["sign"] = True
    (job / "job.json").write_text(json.dumps(there))
    edited = verify(open_store(str(job))).discrepancies
    assert [wrong.kind for wrong in edited] == ["job", "wrong_format"], "the PNG's own checksum tells, too"
    found = verify(open_store(str(job)), signatures=True).discrepancies[1:]
    assert (found[0].kind, found[0].subject) == ("invalid_signature", rows[0]["image"])
    assert [wrong.kind for wrong in found[1:]] == ["missing_signature"] * (len(rows) - 2)
