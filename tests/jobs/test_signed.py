"""A signed job by its command: certificates made on request, a signer that fails, and what a picture says of it."""

import os
import sys
from pathlib import Path

import pytest

from cluster.store import open_store
from jobs.verify import verify
from tests.conftest import Pressrun, write_manifest

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
    assert verify(open_store(str(tmp_path / "out"))).discrepancies == ()
    picture = tmp_path / "out/images/mug-1.png"
    said = pressrun("inspect", picture)
    assert said.code == 0 and "unchanged since" in said.out and "not to be trusted" in said.out
    data = bytearray(picture.read_bytes())
    data[data.index(b"IDAT") + 100] ^= 1
    picture.write_bytes(data)
    assert pressrun("inspect", picture).code == 1
    for folder, _, names in os.walk(tmp_path / "out"):
        assert not any(b"PRIVATE KEY" in Path(folder, name).read_bytes() for name in names)
