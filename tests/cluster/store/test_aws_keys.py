"""Keys and files of the AWS environment that cannot be what they should be: a sentence, before anything is sent."""

import os
from pathlib import Path

import pytest

from pressrun.pipeline.errors import JobError
from tests.opening import open_store

LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("value", [LATIN, "schlüssel", "key\n", "key\x7f"])
def test_a_key_that_cannot_be_sent_is_a_sentence(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(JobError, match="The AWS keys or token hold signs that none has") as refused:
        open_store(s3_bucket).head("mug.png")
    assert value not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[default]\naws_access_key_id = a\n# caf\xe9\n", id="Latin-1"),
        pytest.param("[default]\naws_access_key_id = a\n".encode("utf-16"), id="UTF-16"),
        pytest.param(b"aws_access_key_id = a\n", id="no profile"),
        pytest.param(bytes(range(256)), id="anything"),
    ],
)
@pytest.mark.parametrize("variable", ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"])
def test_a_file_that_is_no_configuration_is_named(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, data: bytes
) -> None:
    (tmp_path / "credentials").write_bytes(data)
    monkeypatch.setenv(variable, str(tmp_path / "credentials"))
    if variable == "AWS_SHARED_CREDENTIALS_FILE":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(JobError, match=f"The AWS file {tmp_path}/credentials cannot be read: it is no configuration"):
        open_store(s3_bucket).head("mug.png")
