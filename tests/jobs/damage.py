"""What may have become of a finished job in a folder: one thing of many kinds, most of them wrong, some harmless."""

import hashlib
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Damage = Callable[[Path, random.Random], str]

_VALUES = {
    "status": ("failed", "rejected", "succeeded", "cached", "odd", None),
    "image": ("images/s0.png", "images/other.png", "", None, "/nowhere/images/s1.png"),
    "sha256": ("0" * 64, None),
    "bytes": (1, None),
    "width": (16, 17, None),
    "height": (32, None),
    "format": ("jpeg", None),
    "seed": (1, None),
    "render_key": ("1" * 64, None),
    "finish_key": ("2" * 64,),
    "model": ("another",),
    "model_digest": ("3" * 64, None),
    "error_code": ("", None, "odd"),
    "custom_id": ("s0", "unknown", None),
    "device": ("cuda", None),
    "season": ("spring", None),
    "attempts": (7,),
}
_JOB = {
    "rows": (0, 3),
    "name": ("{season}-{custom_id}",),
    "format": ("jpeg", 7),
    "precision": ("bf16",),
    "model": ("another",),
    "model_digest": ("4" * 64,),
    "manifest_digest": ("5" * 64,),
    "finishing_digest": ("6" * 64,),
    "fingerprint": ("7" * 64,),
    "manifest": ("elsewhere.parquet",),
    "finishing": ({"format": "webp"}, None),
}
_SUMMARY = {
    **dict.fromkeys(("rows", "succeeded", "cached", "failed", "rejected", "flagged"), (0, 1, 9, None, "two")),
    **{"pending": (1, 0), "stopped": ("by somebody", None), "seconds": (1.0,)},
}


def damaged(job: Path, dice: random.Random) -> str:
    """Do one thing to the job in a folder; what it was."""
    return dice.choice((*_FILES, _cell, _cell, _cell, _rows, _job, _summary, _record))(job, dice)


def _picture(job: Path, dice: random.Random) -> Path:
    return dice.choice(sorted((job / "images").glob("*.png")))


def _replace(path: Path, data: bytes) -> None:
    """Nothing of the same inode in another night changes."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _flip(job: Path, dice: random.Random) -> str:
    path = dice.choice([_picture(job, dice), job / "manifest.parquet", job / "results/part-000000.parquet"])
    data = bytearray(path.read_bytes())
    data[dice.randrange(4, len(data) - 8)] ^= 1 << dice.randrange(8)
    _replace(path, bytes(data))
    return f"a bit of {path.name} flipped"


def _cut(job: Path, dice: random.Random) -> str:
    path = dice.choice([path for path in sorted(job.rglob("*")) if path.is_file() and path.parent.name != "thumbs"])
    _replace(path, path.read_bytes()[:-1] if dice.random() < 0.5 else b"")
    return f"{path.name} cut off"


def _remove(job: Path, dice: random.Random) -> str:
    path = dice.choice([path for path in sorted(job.rglob("*")) if path.is_file() and path.name != "job.json"])
    path.unlink()
    return f"{path.relative_to(job)} removed"


def _swap(job: Path, dice: random.Random) -> str:
    one, other = _picture(job, dice), _picture(job, dice)
    first, second = one.read_bytes(), other.read_bytes()
    _replace(one, second)
    _replace(other, first)
    return f"{one.name} and {other.name} swapped"


def _add(job: Path, dice: random.Random) -> str:
    name = dice.choice(["images/x.png", "images/.DS_Store", "images/a/b.png", "notes.txt", "results/part-1.parquet"])
    path = job / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"somebody's")
    return f"{name} added"


def _double_part(job: Path, dice: random.Random) -> str:
    table = _results(job)
    pq.write_table(table.slice(dice.randrange(table.num_rows), 1), job / "results/part-000007-0a-000000.parquet")
    return "a row told in another part as well"


_FILES: tuple[Damage, ...] = (_flip, _cut, _remove, _remove, _swap, _add, _double_part)


def _results(job: Path) -> pa.Table:
    return pq.ParquetFile(job / "results/part-000000.parquet").read()


def _write(job: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), job / "results/part-000000.parquet")


def _cell(job: Path, dice: random.Random) -> str:
    table = _results(job)
    rows, name = table.to_pylist(), dice.choice(list(_VALUES))
    row = dice.choice(rows)
    was, row[name] = row[name], dice.choice(_VALUES[name])
    _write(job, rows, table.schema)
    return f"{name} of {row['custom_id']} ({row['status']}): {was!r}, now {row[name]!r}"


def _rows(job: Path, dice: random.Random) -> str:
    table = _results(job)
    rows = table.to_pylist()
    kind = dice.choice(["dropped", "doubled", "shuffled", "swapped"])
    one, other = dice.sample(range(len(rows)), 2)
    if kind == "dropped":
        del rows[one]
    elif kind == "doubled":
        rows.insert(other, rows[one])
    elif kind == "shuffled":
        dice.shuffle(rows)
    else:
        for name in ("image", "sha256", "bytes"):
            rows[one][name], rows[other][name] = rows[other][name], rows[one][name]
    _write(job, rows, table.schema)
    return f"rows {kind}: {one}, {other}"


def _job(job: Path, dice: random.Random) -> str:
    return _field(job / "job.json", _JOB, dice)


def _summary(job: Path, dice: random.Random) -> str:
    return _field(job / "summary.json", _SUMMARY, dice)


def _field(path: Path, values: dict[str, tuple[Any, ...]], dice: random.Random) -> str:
    said = json.loads(path.read_bytes())
    name = dice.choice(list(values))
    was, said[name] = said.get(name), dice.choice(values[name])
    _replace(path, json.dumps(said).encode())
    return f"{path.name}: {name} was {was!r}, is {said[name]!r}"


def _record(job: Path, dice: random.Random) -> str:
    """A picture that says another thing of itself, or is of another size, and whose digest is written down."""
    table = _results(job)
    rows = table.to_pylist()
    row = dice.choice([row for row in rows if row["status"] in ("succeeded", "cached")])
    path = job / row["image"]
    data = path.read_bytes()
    changes = {
        "custom_id": (b":identifier>s", b":identifier>t"),
        "render key": (b"renderKey>" + row["render_key"][:8].encode(), b"renderKey>00000000"),
        "finish key": (b"finishKey>" + row["finish_key"][:8].encode(), b"finishKey>00000000"),
        "model": (b"AISystemUsed>mini", b"AISystemUsed>maxi"),
        "seed": (b"pressrun:seed>1", b"pressrun:seed>2"),
        "height": (data[20:24], b"\0\0\0\x20"),
        "nothing": (b"", b""),
    }
    what = dice.choice(list(changes))
    data = data.replace(*changes[what], 1)
    data = _mended(data) if dice.random() < 0.7 else data
    row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    _replace(path, data)
    _write(job, rows, table.schema)
    return f"{path.name} says another {what}, and the results have its digest"


def _mended(data: bytes) -> bytes:
    """A PNG with the check sums of its chunks made anew."""
    mended, place = data[:8], 8
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        mended += data[place:end] + zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return mended
