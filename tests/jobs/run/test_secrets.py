"""Nothing that Pressrun writes or prints holds a customer's secrets, but what must hold the customer's data as given.

One job with a secret wherever a manifest can have one, rendered with the real model; then every command that looks at
it. Everything that was written is opened: Parquet column by column, zips, pictures, what stands in pages as base64.
"""

import base64
import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun.jobs.cli.command import main
from pressrun.jobs.manifest.manifest import REQUEST_SCHEMA, read_manifest
from tests.conftest import Pressrun
from tests.jobs.night_jobs import make_night
from tests.opening import stores
from tests.picture_files import encoded
from tests.web_server import Server, serving

PLANTED = {
    "an S3 signature": "5d41402abc4b2a76b9719d911017c592deadbeef0badf00d",
    "a Google signature": "77aa41c0ffee1d0c5b9719d911017c592aabbccdd",
    "an Azure signature": "Zk9vQ2xhc3NpY1NpZ25hdHVyZQ",
    "the token of a CDN": "q7Rk2vXw9ZpLm4TsB8cDn1",
    "the signature of a reference": "refsig4e1f0a9b",
    "the signature of a lost reference": "lostsig8c7d6e5f",
    "the password of an address": "hunter2address",
    "the password of a reference": "hunter2reference",
    "a header of the environment": "dam-header-31415",
    "a secret key of the environment": "wJalrXUtnFEMIbPxRfiCY",
    "a session token of the environment": "FwoGZXIvYXdzEJrsession",
    "a key id in a text": "AKIAIOSFODNN7EXAMPLE",
    "a header in a text": "bearer2718281828",
    "a key id in a prompt": "AKIAI44QH8DHBEXAMPLE",
    "the password of an address in a prompt": "hunter2prompt",
    "a key id in a list": "ASIAJEXAMPLEXEG2JICEA",
    "a password in a list": "hunter2list",
    "a password in a struct": "hunter2struct",
    "a password in bytes": "hunter2bytes",
}
KEPT = "https://pim.example/asset?sku=12&lang=de"
"""An address that an asset manager follows."""

_ADDRESSED, _KEYED = "a mug as on https://a:{}@h.example", "a mug {}"
_SPEC = """
[provenance]
prompt = true
rights = "{note}"
source = "{s3}"

[[renditions]]
name = "small"
width = 32
height = 32
format = "webp"

[checks.policy]
action = "reject"
words = "barred.txt"
"""


def _rows(web: Server) -> list[dict[str, object]]:
    secret = PLANTED
    every = {
        "width": 64,
        "height": 64,
        "steps": 1,
        "brand": "ACME",
        "pim": KEPT,
        "s3": f"https://b.s3.amazonaws.com/a.png?X-Amz-Date=2026&X-Amz-Signature={secret['an S3 signature']}",
        "google": f"https://storage.googleapis.com/b/a?x-goog-signature={secret['a Google signature']}",
        "azure": f"https://a.blob.core.windows.net/b?sv=2024&se=2026&sp=r&sig={secret['an Azure signature']}%3D",
        "cdn": f"https://cdn.example/a.png?e={secret['the token of a CDN']}",
        "login": f"https://ada:{secret['the password of an address']}@dam.example/a.png",
        "note": f"{secret['a key id in a text']}, Authorization: Bearer {secret['a header in a text']}",
        "keywords": ["mug", f"{secret['a key id in a list']}", f"password={secret['a password in a list']}"],
        "raw": b"\xff password=" + secret["a password in bytes"].encode(),
        "access": {"user": "ada", "password": secret["a password in a struct"]},
    }
    prompt = _KEYED.format(secret["a key id in a prompt"])
    addressed = _ADDRESSED.format(secret["the password of an address in a prompt"])
    signed = web.url(f"/mug.png?X-Amz-Signature={secret['the signature of a reference']}")
    lost = web.url(f"/lost.png?sig={secret['the signature of a lost reference']}")
    odd = f"ftp://ada:{secret['the password of a reference']}@dam.example/a.png"
    differing = {
        "plain": {"prompt": addressed, "references": []},
        "referring": {"prompt": prompt, "references": [signed]},
        "lost": {"prompt": prompt, "references": [lost]},
        "odd": {"prompt": prompt, "references": [odd]},
        "barred": {"prompt": f"{prompt} with a weapon", "references": []},
    }
    return [{"custom_id": name, **own, **every} for name, own in differing.items()]


@dataclass(frozen=True)
class Written:
    """The folder in which everything was written, the job's own rows, and what each command said."""

    folder: Path
    rows: list[dict[str, object]]
    said: dict[str, str]


LONG_NAMES = "{custom_id}/" + 4 * "{google}-{s3}-"
"""A template for names, of which none is short enough."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    given, folder = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("secrets")
    (given / "finish.toml").write_text(_SPEC)
    (given / "barred.txt").write_text("weapon\n")
    with serving() as web, pytest.MonkeyPatch.context() as environment:
        host = f"127.0.0.1:{web.port}"
        header = {host: {"X-Dam-Key": PLANTED["a header of the environment"]}}
        environment.setenv("PRESSRUN_REFERENCE_HEADERS", json.dumps(header))
        environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", PLANTED["a secret key of the environment"])
        environment.setenv("AWS_SESSION_TOKEN", PLANTED["a session token of the environment"])
        web.sends("/mug.png", body=encoded(Image.new("RGB", (64, 64), "red")))
        web.sends("/lost.png", status=404)
        rows = _rows(web)
        pq.write_table(pa.Table.from_pylist(rows), given / "manifest.parquet")
        order = (given / "manifest.parquet", "--out", folder / "job", "--allow-host", host)
        order = ("render", *order, "--finish", given / "finish.toml")
        ended = Pressrun(folder)(*order)
        assert ended.code == 1, ended.err
        assert web.seen[0][1]["x-dam-key"] == PLANTED["a header of the environment"]
        said = {"render": ended.out + ended.err} | _looked_at(folder, order)
        yield Written(folder, rows, said)


def _looked_at(folder: Path, order: tuple[object, ...]) -> dict[str, str]:
    """What every command says that looks at the job, by its words; some write files. Two names
    cannot be: the sentence about one that repeats, and about one that is too long, holds the name."""
    job, night, place, pages = (folder / name for name in ("job", "night", "place", "pages"))
    prompts = {"plain": _KEYED.format(PLANTED["a key id in a prompt"])}
    make_night(str(night), {"plain": encoded(Image.new("RGB", (16, 16)))}, prompts)
    pages.mkdir()
    pictures = sorted((job / "images").iterdir())
    matrix = ("sheet", job, "--rows", "google", "--columns", "keywords,login")
    commands: list[tuple[object, ...]] = [
        *[(command, job) for command in ("status", "failures", "verify")],
        *[(command, job, "--json") for command in ("status", "failures", "verify")],
        ("failures", job, "--out", folder / "again.parquet"),
        matrix,
        (*matrix, "--out", pages / "matrix.html"),
        ("sheet", job, "--pick", "plain,lost", "--reseed", "--out", folder / "picked.parquet"),
        ("diff", night, job, "--sheet", pages / "diff.html"),
        ("diff", night, job, "--json"),
        ("bundle", job, "--by", "brand", "--json"),
        ("publish", night, "--to", place),
        ("publish", job, "--to", place, "--json"),
        ("inspect", *pictures),
        ("inspect", *pictures, "--json"),
        (*order, "--dry-run"),
        (*order, "--dry-run", "--name", "{login}", "--json"),
        (*order, "--dry-run", "--out", folder / "no", "--name", LONG_NAMES),
    ]
    said = {" ".join(map(str, command)): _run(command) for command in commands}
    published = next(text for command, text in said.items() if command.startswith("publish") and "--json" in command)
    said["publish --undo"] = _run(("publish", "--undo", json.loads(published)["undo"]))
    return said


def _run(command: tuple[object, ...]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([*map(str, command)])
    none_is_good = command[-1] == LONG_NAMES or "{login}" in command
    assert code == 2 if none_is_good else code < 2, said.getvalue()
    return said.getvalue()


def _opened(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file, and of everything in it that was packed, by where it stands."""
    if not data.startswith(b"PAR1"):
        yield name, name.encode() + data
    else:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        yield f"{name}: schema", str((table.schema.names, table.schema.metadata)).encode()
        for column in table.column_names:
            yield f"{name}: {column}", str(table[column].to_pylist()).encode()
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for member in file.namelist():
                yield from _opened(f"{name}: {member}", file.read(member))
    elif re.search(rb"\.(png|webp)$", name.encode()):
        with Image.open(io.BytesIO(data)) as picture:
            yield f"{name}: metadata", str(picture.info).encode()
    for number, packed in enumerate(re.findall(rb";base64,([\w+/=]+)", data)):
        yield from _opened(f"{name}: {number}.webp", base64.b64decode(packed))


def _leaks(name: str, data: bytes) -> set[tuple[str, str]]:
    return {
        (where, what)
        for where, text in _opened(name, data)
        for what, secret in PLANTED.items()
        if secret.encode() in text
    }


def _is_given(where: str, customers: list[str]) -> bool:
    """Whether a place has to hold the customer's data as it was given."""
    file, _, column = where.partition(": ")
    if file in ("job/manifest.parquet", "night/manifest.parquet"):
        return True  # the frozen input: what a resume, an audit and the next night compare themselves with
    if re.fullmatch(r"job/results/part-\d+\.parquet", file):
        return column in customers  # carried into the results untouched, which is promised; not so in our own columns
    return file in ("again.parquet", "picked.parquet")  # manifests, which render has to take unchanged


def test_no_secret_is_in_anything_that_was_written(written: Written) -> None:
    customers = [name for name in written.rows[0] if name not in REQUEST_SCHEMA.names]
    paths = [path for path in sorted(written.folder.rglob("*")) if path.is_file()]
    kinds = {path.name if path.parent.name in ("job", "pages") else path.suffix for path in paths}
    assert kinds >= {"job.json", "summary.json", "timeline.json", "references.parquet", "index.html", "metadata.csv"}
    assert kinds >= {"matrix.html", "diff.html", ".zip", ".png", ".webp", ".parquet"}
    found = set[tuple[str, str]]()
    for path in paths:
        found |= _leaks(path.relative_to(written.folder).as_posix(), path.read_bytes())
    assert {leak for leak in found if not _is_given(leak[0], customers)} == set()


def test_no_secret_is_in_anything_that_was_said(written: Written) -> None:
    assert {what: said for what, said in written.said.items() if _leaks("", said.encode())} == {}


def test_what_must_be_as_it_was_given_is(written: Written) -> None:
    given = {row["custom_id"]: row for row in written.rows}
    again = read_manifest(stores(), str(written.folder / "again.parquet")).to_pylist()
    assert [row["custom_id"] for row in again] == ["lost", "odd", "barred"]
    assert [{name: row[name] for name in given["lost"]} for row in again] == [given[row["custom_id"]] for row in again]
    customers = [name for name in given["lost"] if name not in REQUEST_SCHEMA.names]
    [results] = (written.folder / "job/results").iterdir()
    for row in pq.read_table(results).to_pylist():
        assert [row[name] for name in customers] == [given[row["custom_id"]][name] for name in customers]


def test_a_harmless_address_stays_where_asset_managers_look_for_it(written: Written) -> None:
    assert KEPT in (written.folder / "job/metadata.csv").read_text()
