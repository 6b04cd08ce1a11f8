"""Two checkouts side by side: the same jobs through the command of each, and whether the same came out.

    python -m tests.bench.side_by_side BEFORE AFTER [--only CASE …]

Each checkout has its own .venv (`make .venv/installed`). Their jobs have the same manifests and the same addresses, one
checkout after the other, so whatever differs is the checkouts' own. Compared are the SHA-256 of every file in images/,
thumbs/ and pixels/ (of signed pictures the pixels), every result column that is not a run's own, and job.json but for
the versions that it names.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from infra.s3_server import S3Server
from tests.web_server import Server, serving

EXAMPLES = Path(__file__).resolve().parents[2] / "jobs/examples"
PICTURES = ("images/", "thumbs/", "pixels/")
RESULTS = "results/part-000000.parquet"
OF_A_RUN = ("device", "batch_rows", "attempts", "finished_at")
"""Result columns that may differ from run to run; so may `seconds_…`."""
OF_A_FILE = ("bytes", "sha256")
"""What is never the same twice of a signed picture."""
VERSIONS = ("pressrun", "schema_version")
"""Fields of job.json that name a version."""
SHOWN = 3
"""Differences that the table shows of a case."""

FINISH = '[[renditions]]\nname = "small"\nwidth = 48\nheight = 48\nformat = "webp"\n'


@dataclass(frozen=True)
class Case:
    """Commands, one after the other, and the job that they leave at `out`."""

    name: str
    out: str
    commands: tuple[tuple[str, ...], ...]
    signed: bool = False


@dataclass
class Outcome:
    """What a case left: its job's files, and what the commands said where one did not end with 0 or 1."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    codes: tuple[int, ...] = ()
    said: str = ""


@dataclass
class Compared:
    """How two outcomes of a case compare."""

    pictures: int = 0
    equal_pictures: int = 0
    columns: int = 0
    equal_columns: int = 0
    differs: list[str] = field(default_factory=list)


def main() -> int:
    """Print the table; 1 where anything differs."""
    parser = argparse.ArgumentParser(description="The same jobs through two checkouts, and what differs.")
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a checkout with its .venv")
    parser.add_argument("after", type=Path, metavar="AFTER", help="another one")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="cases whose name has one of these words in it")
    options = parser.parse_args()
    commands = [checkout.resolve() / ".venv/bin/pressrun" for checkout in (options.before, options.after)]
    with tempfile.TemporaryDirectory(prefix="pressrun-side-") as scratch, serving() as web:
        inputs, work = Path(scratch, "in"), Path(scratch, "work")
        write_inputs(inputs, web)
        certificate = made_certificate(commands[0], inputs)
        cases = [case for case in all_cases(inputs, web) if _chosen(case.name, options.only)]
        before, after = (list(outcomes(command, cases, work, certificate)) for command in commands)
    compared = [compare(case, *pair) for case, *pair in zip(cases, before, after, strict=True)]
    print("\n".join(table(cases, compared)))
    return int(any(one.differs for one in compared))


def _chosen(name: str, words: list[str] | None) -> bool:
    return not words or any(word in name for word in words)


def write_inputs(folder: Path, web: Server) -> None:
    """The manifests that are no examples, with their references beside them and on the web server."""
    shutil.copytree(EXAMPLES / "references", folder / "references")
    for picture in sorted((folder / "references").iterdir()):
        web.sends(f"/{picture.name}", body=picture.read_bytes(), Content_Type="image/png")
    places = {"plain": None, "disk": "references", "web": web.url(""), "bucket": "s3://shop/references"}
    for name, place in places.items():
        pq.write_table(pa.Table.from_pylist(list(_rows(place))), folder / f"{name}.parquet")
    (folder / "finish.toml").write_text(FINISH)


def _rows(place: str | None) -> Iterator[dict[str, Any]]:
    sizes = ((128, 128), (160, 96), (90, 160))
    for number, product in enumerate(("mug", "bottle", "chair", "lamp", "handbag", "sneaker")):
        width, height = sizes[number % 3]
        shown = [f"{place}/{name}.png" for name in ("beach", "forest", "sunset")[: 1 + number % 2]] if place else []
        row = {"custom_id": f"{product}-{number}", "prompt": f"a red {product} on the beach", "sku": f"SKU {number}"}
        yield {**row, "width": width, "height": height, "steps": 2 + number % 2, "references": shown}


def made_certificate(command: Path, folder: Path) -> dict[str, str]:
    """The environment that has both checkouts sign with one certificate."""
    asked = [command, "dev-certificate", folder / "certificate", "--json"]
    made = json.loads(subprocess.run(asked, check=True, capture_output=True, cwd=folder).stdout)
    return {"PRESSRUN_SIGN_CERTIFICATE": made["certificate"], "PRESSRUN_SIGN_KEY": made["key"]}


def all_cases(inputs: Path, web: Server) -> Iterator[Case]:
    """Every case; a later one may build upon what an earlier one left, under the same first word."""

    def render(name: str, manifest: Path, *more: object, out: str = "") -> Case:
        out = out or f"out/{name.replace(' ', '-')}"
        command = ("render", str(manifest), "--out", out, *map(str, more), "--json")
        return Case(name, out, (command,), signed="--sign" in more)

    seasons, plain, finish = EXAMPLES / "four_seasons", inputs / "plain.parquet", ("--finish", inputs / "finish.toml")
    yield render("campaign", EXAMPLES / "campaign.parquet")
    variants = ("variants", str(seasons / "campaign.toml"), "--out", "four-seasons.parquet")
    style = ("--finish", seasons / "style.toml", "--format", "jpeg")
    four = render("four seasons", Path("four-seasons.parquet"), *style)
    yield Case(four.name, four.out, (variants, *four.commands))
    yield render("checked", EXAMPLES / "checked.jsonl", "--finish", EXAMPLES / "finish.toml")
    yield render("references disk", inputs / "disk.parquet")
    yield render("references web", inputs / "web.parquet", "--allow-host", f"127.0.0.1:{web.port}")
    yield render("references bucket", inputs / "bucket.parquet", out="s3://shop/out")
    for shards in (1, 2, 3):
        yield render(f"shards {shards}", plain, "--shards", shards)
    yield render("signed", plain, "--sign", *finish)
    yield render("night 1", EXAMPLES / "night-1.parquet", out="out/nights/2026-11-20")
    yield render("night 2", EXAMPLES / "night-2.parquet", "--since", "latest", out="out/nights/2026-11-21")
    yield render("pixels kept", plain, "--keep-pixels")
    yield render("pixels finished again", plain, *finish, "--keep-pixels", "out/pixels-kept/pixels")


def outcomes(command: Path, cases: list[Case], work: Path, certificate: Mapping[str, str]) -> Iterator[Outcome]:
    """What each case comes to with one checkout's command, in an empty folder and with an empty bucket."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with S3Server() as s3:
        s3.create_bucket("shop")
        for picture in (EXAMPLES / "references").iterdir():
            s3.client.put_object(Bucket="shop", Key=f"references/{picture.name}", Body=picture.read_bytes())
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        environment |= {**certificate, **s3.environment}
        for case in cases:
            yield outcome(command, case, work, environment, lambda: _bucket_files(s3.client))


def outcome(
    command: Path, case: Case, work: Path, environment: Mapping[str, str], bucket: Callable[[], dict[str, bytes]]
) -> Outcome:
    """What one case comes to."""
    codes = []
    for arguments in case.commands:
        started = time.monotonic()
        ended = subprocess.run([command, *arguments], cwd=work, env=environment, capture_output=True, text=True)
        codes.append(ended.returncode)
        seconds = time.monotonic() - started
        print(f"{command.parents[2]}: {case.name}: exit {codes[-1]}, {seconds:.0f} s", file=sys.stderr, flush=True)
        if ended.returncode not in (0, 1):
            return Outcome(codes=tuple(codes), said=ended.stderr.strip()[-500:])
    files = bucket() if case.out.startswith("s3://") else _folder_files(work / case.out)
    return Outcome(files, tuple(codes))


def _folder_files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _bucket_files(client: Any) -> dict[str, bytes]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="shop", Prefix="out/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    return {key.removeprefix("out/"): client.get_object(Bucket="shop", Key=key)["Body"].read() for key in keys}


def compare(case: Case, before: Outcome, after: Outcome) -> Compared:
    """Pictures, columns and job.json of both."""
    compared = Compared()
    if before.codes != after.codes:
        compared.differs.append(f"exit codes {before.codes} and {after.codes}")
    compared.differs += [f"failed: {one.said.splitlines()[-1]}" for one in (before, after) if one.said]
    if before.said or after.said:
        return compared
    ours, theirs = (_digests(one.files, case.signed) for one in (before, after))
    compared.pictures = len(ours.keys() | theirs.keys())
    compared.differs += _unequal("file", ours, theirs)
    compared.equal_pictures = sum(ours.get(path) == theirs.get(path) for path in ours.keys() | theirs.keys())
    ours, theirs = (_columns(one.files[RESULTS], case.signed) for one in (before, after))
    compared.columns = len(ours.keys() | theirs.keys())
    compared.differs += _unequal("column", ours, theirs)
    compared.equal_columns = sum(ours.get(name) == theirs.get(name) for name in ours.keys() | theirs.keys())
    ours, theirs = (json.loads(one.files["job.json"]) for one in (before, after))
    for name in VERSIONS:
        ours.pop(name, None), theirs.pop(name, None)
    compared.differs += _unequal("job.json's", ours, theirs)
    return compared


def _unequal(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            yield f"{kind} {name} is only {'before' if name in before else 'after'}"
        elif before[name] != after[name]:
            yield f"{kind} {name}"


def _digests(files: Mapping[str, bytes], signed: bool) -> dict[str, str]:
    """The digest of every picture; of its pixels, where each signing makes another file."""

    def told(data: bytes) -> bytes:
        return Image.open(io.BytesIO(data)).tobytes() if signed else data

    return {path: hashlib.sha256(told(files[path])).hexdigest() for path in files if path.startswith(PICTURES)}


def _columns(part: bytes, signed: bool) -> dict[str, tuple[str, list[Any]]]:
    """Type and values of every result column that is not the run's own, the rows in the manifest's order."""
    results = pq.ParquetFile(pa.BufferReader(part)).read()
    left_out = (*OF_A_RUN, *(OF_A_FILE if signed else ()))
    names = [name for name in results.column_names if name not in left_out and not name.startswith("seconds_")]
    columns = {name: (str(results.schema.field(name).type), results[name].to_pylist()) for name in names}
    if signed:
        for rendition in (one for row in columns["renditions"][1] for one in row or ()):
            for name in OF_A_FILE:
                del rendition[name]
    return columns


def table(cases: list[Case], compared: list[Compared]) -> Iterator[str]:
    """A line for each case."""
    yield "| case | pictures | equal | columns | equal | differs |"
    yield "|---|---|---|---|---|---|"
    for case, one in zip(cases, compared, strict=True):
        more = f" and {len(one.differs) - SHOWN} more" if len(one.differs) > SHOWN else ""
        differs = "; ".join(one.differs[:SHOWN]) + more or "nothing"
        figures = (one.pictures, one.equal_pictures, one.columns, one.equal_columns)
        yield f"| {' | '.join(map(str, (case.name, *figures, differs)))} |"


if __name__ == "__main__":
    sys.exit(main())
