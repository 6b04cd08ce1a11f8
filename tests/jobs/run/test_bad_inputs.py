"""Everything bad that a manifest can hold, through the command: a code and a sentence each, and nobody else is harmed.

What is wrong with one row is tried in one job of all such rows, with good rows among them; what is wrong with the
whole order, one command each. Nothing may be left behind: no process, no temporary file, nothing in the job's folder.
"""

import binascii
import io
import json
import math
import os
import shutil
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pressrun.jobs.cli.command import main
from pressrun.pipeline.models.catalogue import find_model
from tests.conftest import Ended, Pressrun, mixed_rows, write_manifest

SIGNATURE = "X-Amz-Signature=5ecre7"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", binascii.crc32(kind + data))


def bomb_png(side: int = 60_000) -> bytes:
    """A well-formed header of 60,000 x 60,000 pixels and a little of what should follow."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def noise(side: int = 128) -> Image.Image:
    return Image.effect_noise((side, side), 80).convert("RGB")


PICTURES = {
    "bomb.png": bomb_png(),
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n",
    "photoshop.png": b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + b"\0" * 400,
    "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><script>alert(1)</script></svg>',
    "moving.png": encoded(noise(), "GIF"),
    "cut.jpg": encoded(noise(), "JPEG")[:-900],
    "broken.jpg": b"\xff\xd8\xff\xe0" + b"\xff" * 4000,
    "empty.png": b"",
}


@dataclass(frozen=True)
class Bad:
    """One row's cells, and what its result has to say."""

    cells: dict[str, Any]
    code: str
    words: str
    hidden: str = ""


def reference(uri: str, code: str, words: str = "", hidden: str = "") -> Bad:
    return Bad({"references": [uri]}, code, words, hidden)


NUMBERS = ("width", "height", "steps", "guidance", "seed")
BAD: dict[str, Bad] = {
    "prompt-null": Bad({"prompt": None}, "missing_prompt", "prompt is empty"),
    "prompt-long": Bad({"prompt": "x" * 10_001}, "prompt_too_long", "10,001 characters"),
    "prompt-huge": Bad({"prompt": "x" * 3_000_000}, "cell_too_long", "bytes"),
    "prompt-nul": Bad({"prompt": "a mug\0"}, "bad_text", "control characters"),
    "prompt-bidi": Bad({"prompt": "a \u202egum"}, "bad_text", "control characters"),
    "width-nan": Bad({"width": math.nan}, "bad_size", "width is nan"),
    "width-negative": Bad({"width": -128.0}, "bad_size", "width is -128"),
    "width-huge": Bad({"width": 1e300}, "bad_size", "width is 1e+300"),
    "height-zero": Bad({"height": 0.0}, "bad_size", "height is 0"),
    "steps-none": Bad({"steps": 0.0}, "bad_steps", "steps is 0"),
    "steps-huge": Bad({"steps": 1e9}, "bad_steps", "1 to 1,000"),
    "seed-negative": Bad({"seed": -1.0}, "bad_seed", "seed is -1"),
    "seed-huge": Bad({"seed": 1e30}, "bad_seed", "seed is 1e+30"),
    "guidance-nan": Bad({"guidance": math.nan}, "bad_guidance", "guidance is nan"),
    "guidance-negative": Bad({"guidance": -4.0}, "bad_guidance", "guidance is -4"),
    "name-long": Bad({"sku": "x" * 1_025}, "bad_name", "longer than"),
    "name-null": Bad({"sku": None}, "bad_name", "is empty"),
    "reference-bomb": reference("bomb.png", "reference_too_large", "megapixels"),
    "reference-postscript": reference("postscript.png", "reference_unreadable", "PNG, JPEG or WebP"),
    "reference-photoshop": reference("photoshop.png", "reference_unreadable", "PNG, JPEG or WebP"),
    "reference-svg": reference("vector.png", "reference_unreadable", "PNG, JPEG or WebP"),
    "reference-gif": reference("moving.png", "reference_unreadable", "PNG, JPEG or WebP"),
    "reference-cut": reference("cut.jpg", "reference_unreadable"),
    "reference-broken": reference("broken.jpg", "reference_unreadable"),
    "reference-empty": reference("empty.png", "reference_unreadable", "it has no bytes"),
    "reference-missing": reference("nowhere.png", "reference_missing", "nowhere.png"),
    "reference-folder": reference("folder.png", "reference_refused", "no file but a folder"),
    "reference-file": reference("file:///etc/passwd", "bad_reference", "must be a path"),
    "reference-clouds": reference("https://169.254.169.254/latest/meta-data", "reference_refused", "private"),
    "reference-mapped": reference("https://[::ffff:169.254.169.254]/x.png", "reference_refused", "private"),
    "reference-hex": reference("https://0x7f.1/x.png", "reference_refused", "host as a number"),
    "reference-userinfo": reference("https://shop.example@10.0.0.1/x.png", "reference_refused", "user name"),
    "reference-plain": reference("http://shop.example/x.png", "reference_refused", "without encryption"),
    "web-missing": reference("{web}/none.png?" + SIGNATURE, "reference_missing", "404", SIGNATURE),
    "web-denied": reference("{web}/denied.png?" + SIGNATURE, "reference_denied", "403", SIGNATURE),
    "web-inside": reference("{web}/inside.png?" + SIGNATURE, "reference_refused", "169.254.169.254", SIGNATURE),
    "web-compressed": reference("{web}/bomb.gz", "reference_encoded", "Content-Encoding: gzip"),
    "web-endless": reference("{web}/endless.png", "reference_too_large", "bytes"),
    "web-page": reference("{web}/page.png", "reference_unreadable", "is a web page (HTML)"),
    "web-nothing": reference("{web}/nothing.png", "reference_unreadable", "it has no bytes"),
    "web-wrapped": reference("{web}/wrapped.png", "reference_unreadable", "(aws-chunked), and was stored so"),
}
WRAPPED = b"%x;chunk-signature=%s\r\n\x89PNG\r\n\x1a\n%s" % (9_000, b"a1" * 32, bytes(9_000))
GOOD = ("row-0", "row-1", "row-2")
SCRIPT = "</script><script>document.title=1</script> =cmd()"


class Handler(BaseHTTPRequestHandler):
    """A shop's web server on a bad day."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        if name == "/endless.png":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"\xff" * (1 << 20))
            except OSError:
                self.close_connection = True
                return
        status, headers, body = {
            "/denied.png": (403, {}, b"<Error/>"),
            "/inside.png": (302, {"Location": "https://169.254.169.254/latest/meta-data"}, b""),
            "/bomb.gz": (200, {"Content-Encoding": "gzip"}, zlib.compress(b"\0" * (1 << 24))),
            "/page.png": (200, {"Content-Type": "image/png"}, b"<html><script>alert(1)</script>"),
            "/nothing.png": (200, {"Content-Type": "image/png"}, b""),
            "/wrapped.png": (200, {"Content-Encoding": "aws-chunked"}, WRAPPED),
        }.get(name, (404, {}, b""))
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Ran:
    """A job of all the bad rows, when it has ended."""

    ended: Ended
    out: Path
    left: list[str]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The temporary folder of a command; Ray's sockets allow no long path."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def search_path(temporary: Path) -> str:
    """The search path with the temporary folder at its end: even a decoder, which is told next to nothing, has it."""
    return os.pathsep.join((os.environ["PATH"], str(temporary)))


def processes(temporary: Path) -> set[int]:
    """Processes below this one, and whatever has this temporary folder in its environment, orphans too."""
    found = {child.pid for child in psutil.Process().children(recursive=True)}
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            if str(temporary) in (environment.get("TMPDIR"), *environment.get("PATH", "").split(os.pathsep)):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, shop: str) -> Iterator[Ran]:
    """All bad rows in one job, three good ones among them, and what its end has left behind."""
    folder = tmp_path_factory.mktemp("bad")
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    good = {row["custom_id"]: row for row in mixed_rows() if row["custom_id"] in GOOD}
    rows: list[dict[str, Any]] = []
    for number, (name, bad) in enumerate(BAD.items()):
        if number % 16 == 7:
            rows.append(good.pop(GOOD[3 - len(good)]))
        row = {"custom_id": name, "prompt": "a red mug on the beach", "width": 128, "height": 128, "steps": 2}
        rows.append({**row, "sku": name, "references": [], **bad.cells})
    rows += [*good.values(), {**mixed_rows()[0], "custom_id": "script", "prompt": SCRIPT}]
    for row in rows:
        row["references"] = [uri.replace("{web}", f"http://{shop}") for uri in row["references"]]
        row.update({name: None if row.get(name) is None else float(row[name]) for name in NUMBERS})
    manifest = write_manifest(folder / "in", rows)
    for name, data in PICTURES.items():
        (folder / "in" / name).write_bytes(data)
    (folder / "in/folder.png").mkdir()
    before = processes(temporary)
    command = ("render", manifest, "--out", folder / "out", "--name", "{custom_id}-{sku}", "--json")
    places = {"TMPDIR": str(temporary), "PATH": search_path(temporary)}
    ended = Pressrun(folder)(*command, "--allow-host", shop, **places)
    left = [str(path) for path in temporary.rglob("*")] + [str(pid) for pid in processes(temporary) - before]
    shutil.rmtree(temporary)
    ran = Ran(ended, folder / "out", left)
    if (folder / "out/results").is_dir():
        ran.results = {row["custom_id"]: row for row in pq.read_table(folder / "out/results").to_pylist()}
    yield ran


def test_a_job_of_bad_rows_renders_the_good_ones_and_accounts_for_all(ran: Ran) -> None:
    assert ran.ended.code == 1, ran.ended.err
    summary = ran.ended.json
    assert (summary["rows"], summary["succeeded"], summary["failed"]) == (len(BAD) + 4, 4, len(BAD))
    assert "Traceback" not in ran.ended.err
    assert len(ran.results) == len(BAD) + 4


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_has_its_code_and_its_sentence(name: str, ran: Ran) -> None:
    result, bad = ran.results[name], BAD[name]
    message = result["error_message"]
    assert (result["status"], result["error_code"], result["image"]) == ("failed", bad.code, None), message
    assert bad.words in message and message.endswith(".") and len(message) < 700
    assert "Error(" not in message and " object at 0x" not in message and "Traceback" not in message
    assert not bad.hidden or bad.hidden not in message


def test_the_pictures_of_good_rows_are_those_of_an_undisturbed_job(ran: Ran, finished_job: Path) -> None:
    undisturbed = {row["custom_id"]: row for row in pq.read_table(finished_job / "results").to_pylist()}
    for name in GOOD:  # their bytes differ, because their names are part of their records
        mine = Image.open(ran.out / ran.results[name]["image"])
        other = Image.open(finished_job / undisturbed[name]["image"])
        assert mine.tobytes() == other.tobytes()


def test_bad_rows_leave_no_process_and_no_temporary_file(ran: Ran) -> None:
    assert ran.left == []


def test_no_signature_of_an_address_is_shown_or_written_but_in_the_customers_own_table(ran: Ran) -> None:
    assert SIGNATURE not in ran.ended.out + ran.ended.err
    theirs = {ran.out / "manifest.parquet"}
    for path in ran.out.rglob("*"):
        if path.is_file() and path not in theirs:
            assert SIGNATURE.encode() not in path.read_bytes(), path


def test_what_looks_like_a_script_is_text_in_the_page(ran: Ran) -> None:
    page = (ran.out / "index.html").read_text(encoding="utf-8")
    assert "<script>document.title" not in page and "</script><script>" not in page


# What refuses the job


def parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def table(**columns: list[Any]) -> pa.Table:
    length = len(next(iter(columns.values())))
    made_up = {"custom_id": [f"r{i}" for i in range(length)], "prompt": ["a red mug"] * length}
    return pa.table({**made_up, **columns})


def parquet_bomb() -> bytes:
    """Kilobytes that are gigabytes when read: one long text, repeated by a dictionary."""
    prompts = pa.DictionaryArray.from_arrays(pa.array([0] * 200_000, pa.int32()), ["x" * 100_000])
    ids = pa.array([f"{i}" for i in range(200_000)])
    return parquet(pa.table({"custom_id": ids, "prompt": prompts}), compression="zstd", store_schema=False)


def ray_extension() -> bytes:
    """A schema as a hostile writer makes it: Ray's extension type, whose metadata older Rays unpickled."""
    field_ = pa.field(
        "prompt", pa.string(), metadata={"ARROW:extension:name": "ray.data.arrow_pickled_object", "x": "cos\nsystem"}
    )
    schema = pa.schema([pa.field("custom_id", pa.string()), field_])
    return parquet(pa.table([["a"], ["p"]], schema=schema))


REFUSED = [
    pytest.param("m.parquet", lambda: parquet(table(sku=["x"] * 99))[:-20], ["cut off"], id="truncated"),
    pytest.param("m.parquet", lambda: b"<html>" * 100, ["not a Parquet file"], id="not Parquet"),
    pytest.param("m.parquet", parquet_bomb, ["memory"], id="Parquet bomb"),
    pytest.param(
        "m.parquet",
        lambda: parquet(pa.table({"id": ["a"], "width": ["wide"]})),
        ["no column “custom_id”", "no column “prompt”", "“width” is of type string"],
        id="missing and wrong-typed columns",
    ),
    pytest.param(
        "m.parquet",
        lambda: parquet(table(custom_id=[f"d{i // 2:02}" for i in range(60)])),
        ["“d19” in rows 39, 40 and 10 more"],
        id="duplicates",
    ),
    pytest.param(
        "m.parquet",
        lambda: parquet(table(custom_id=["Straße", "STRASSE", "e\u0301", "\u00e9"])),
        ["“Straße.png” in rows 1, 2", "“é.png” in rows 3, 4"],
        id="names that are one after folding",
    ),
    pytest.param("m.jsonl", lambda: b'{"custom_id": "a", "prompt": "p"}\n{"custom_id"\n', ["JSONL"], id="broken JSONL"),
    pytest.param("m.csv", lambda: b"custom_id,prompt\na,b,c,d\n", ["Line 2", "4 cells", "2 columns"], id="ragged CSV"),
    pytest.param("m.csv", lambda: "custom_id,prompt\na,кружка\n".encode("cp1251"), ["UTF-8"], id="Cyrillic CSV"),
]


@pytest.fixture
def command(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The command in this process: its exit code and what it said; no child process and no file may be left."""
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("PATH", search_path(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)

    def run(*arguments: object) -> tuple[int, str]:
        before = processes(scratch)
        code = main([str(argument) for argument in arguments])
        assert not list(scratch.iterdir()) and not processes(scratch) - before
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(("name", "content", "words"), REFUSED)
def test_a_bad_manifest_is_refused_and_leaves_nothing(
    name: str,
    content: Callable[[], bytes],
    words: list[str],
    command: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    (tmp_path / name).write_bytes(content())
    code, said = command("render", tmp_path / name, "--out", tmp_path / "out")
    assert code == 2
    assert all(word in said for word in words), said
    assert "Traceback" not in said and " object at 0x" not in said
    assert not (tmp_path / "out").exists()


def test_an_extension_type_of_rays_is_read_as_plain_text(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "m.parquet").write_bytes(ray_extension())
    assert command("render", tmp_path / "m.parquet", "--out", tmp_path / "out", "--dry-run") == (0, "")


def test_pickled_weights_are_refused(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    folder = shutil.copytree(find_model("mini").path, tmp_path / "model")
    for weights in folder.rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    manifest = write_manifest(tmp_path / "in", mixed_rows()[:2])
    code, said = command("render", manifest, "--out", tmp_path / "out", "--model", folder)
    assert code == 2
    assert "pickled weights" in said and "safetensors" in said
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_is_replaced_while_the_job_runs_changes_nothing(
    pressrun: Pressrun, tmp_path: Path, finished_job: Path
) -> None:
    rows = mixed_rows()[:4]
    manifest = write_manifest(tmp_path / "in", rows)
    driver = pressrun.start("render", manifest, "--out", tmp_path / "out", "--json")
    while not (tmp_path / "out/job.json").exists():
        assert driver.poll() is None, driver.communicate()
    write_manifest(tmp_path / "in", [{**row, "prompt": "another"} for row in rows[:2]])
    out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert json.loads(out)["succeeded"] == 4
    done = {row["custom_id"]: row["sha256"] for row in pq.read_table(finished_job / "results").to_pylist()}
    mine = {row["custom_id"]: row["sha256"] for row in pq.read_table(tmp_path / "out/results").to_pylist()}
    assert all(done[name] == digest for name, digest in mine.items())
    again = pressrun("render", manifest, "--out", tmp_path / "out")
    assert again.code == 2 and "another job" in again.err
