"""Numbers are exact or refused, and the same cell means the same in CSV, JSON lines and Parquet."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun.jobs.manifest.manifest import Manifest, normalise
from pressrun.jobs.tables.raw_cells import restored
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.models.catalogue import Model
from tests.opening import stores

MODEL = Model("mini", "flux2-klein", steps=10, guidance=1.0, width=128, height=96, max_pixels=512 * 512)
LARGE = 2**53 + 1


def checked(table: pa.Table) -> Manifest:
    return normalise(table, MODEL, "/shop/m")


def typed(column: str, values: pa.Array) -> Manifest:
    names = [f"r{n}" for n in range(len(values))]
    return checked(pa.table({"custom_id": names, "prompt": ["a red mug"] * len(values), column: values}))


def written(folder: Path, kind: str, column: str, cell: str) -> Manifest:
    """A manifest of two rows, whose second has `cell` in `column` and whose first has the number 1."""
    path = folder / f"m.{'jsonl' if kind.startswith('JSON') else kind}"
    if kind == "csv":
        path.write_text(f'custom_id;prompt;{column}\na;a red mug;1\nb;a red mug;"{cell}"\n')
    elif kind == "parquet":
        pq.write_table(pa.table({"custom_id": ["a", "b"], "prompt": ["a red mug"] * 2, column: ["1", cell]}), path)
    else:
        value = cell if kind == "JSON number" else json.dumps(cell)
        path.write_text(
            "".join(f'{{"custom_id":"{n}","prompt":"p","{column}":{v}}}\n' for n, v in (("a", 1), ("b", value)))
        )
    return checked(read_table(stores(), str(path)))


TEXTS = ("csv", "JSON text", "parquet")
GOOD = [
    *(("width", cell, 128) for cell in ("128", " 128 ", "+128", "128.0", "128,0", "128.", "0128", "\u00a0128")),
    *(("seed", cell, LARGE) for cell in (str(LARGE), f"+{LARGE}")),
    *(("seed", str(seed), seed) for seed in (2**53, 2**62 + 1, 2**63 - 1)),
    *(("guidance", cell, 3.5) for cell in ("3.5", "3,5", "3.50", "3,5000", "3.500", "35e-1", "+3,5")),
    *(("guidance", cell, 0.125) for cell in ("0.125", "0,125", ",125", ".125")),
    ("steps", "1000.000", 1000),
    *(("width", cell, 1) for cell in ("1.0000", "1,00", "1,00000")),
]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(("column", "cell", "number"), GOOD)
def test_a_number_is_read_exactly(kind: str, column: str, cell: str, number: float, tmp_path: Path) -> None:
    manifest = written(tmp_path, kind, column, cell)
    assert manifest.bad.num_rows == 0 and manifest.table[column].to_pylist() == [1, number]


REFUSED = [
    ("width", "1,0000", "it may mean 1 or 10000"),
    ("width", "10,0000", "it may mean 10 or 100000"),
    ("seed", "1,0000,0000", "write its digits without signs between them"),
    *(("width", cell, "leave the cell empty where there is none") for cell in ("nan", "NULL", "N/A", "-")),
    ("width", "#REF!", "it is an error of Excel's: mend the formula"),
    *(("width", cell, "it may mean 1 or 1000") for cell in ("1,000", "1.000")),
    ("steps", "1,024", "it may mean 1.024 or 1024"),
    ("seed", "12.345", "it may mean 12.345 or 12345"),
    ("guidance", "1,000", "it may mean 1 or 1000"),
    *(
        ("width", cell, "write its digits without signs between them")
        for cell in (
            "1,000,000",
            "1.000.000",
            "1 000",
            "1\u00a0000",
            "1\u202f000",
            "1'000",
            "1’000",
            "1_000",
            "1.000,00",
        )
    ),
    ("seed", "12,34,567", "without signs"),
    ("width", "50%", "percent sign"),
    ("guidance", "350 %", "percent sign"),
    ("width", "128px", "without “px”"),
    ("steps", "30 steps", "without “steps”"),
    ("width", "128 Pixel", "without “Pixel”"),
    ("seed", "0x1F", "decimal digits"),
    ("seed", "1e3", "an exponent may have lost digits"),
    ("seed", "1.23457E+15", "an exponent may have lost digits"),
    ("seed", f"{LARGE}.0", "floating point"),
    ("seed", "9007199254740992,0", "floating point"),
    ("steps", "2024-01-31", "looks like a date"),
    ("width", "31.01.2024", "looks like a date"),
    ("guidance", "01/02/24", "looks like a date"),
    *(("steps", cell, "write a number") for cell in ("true", "FALSE", "yes")),
    *(("width", cell, "is needed.") for cell in ("١٢٨", "１２８", "−5", "128.5", "128,5", "1/2", "1;2", "--1", "inf")),
    ("guidance", "1.2.3", "is needed"),
    ("seed", str(2**63), "2⁶³ − 1 is needed."),
]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(("column", "cell", "words"), REFUSED)
def test_what_is_no_number_beyond_doubt_fails_its_row(
    kind: str, column: str, cell: str, words: str, tmp_path: Path
) -> None:
    manifest = written(tmp_path, kind, column, cell)
    [found] = manifest.bad.to_pylist()
    assert found["row"] == 1 and words in found["error_message"]
    assert found["error_code"] == {"width": "bad_size"}.get(column, f"bad_{column}")
    again = checked(restored(manifest.frozen))
    assert again.bad.to_pylist() == manifest.bad.to_pylist()


@pytest.mark.parametrize("cell", ["128", "128.0", "1e3", "1.000", "64.5", "-0.0", f"{LARGE}", f"{LARGE}.0", "1E+2"])
@pytest.mark.parametrize("column", ["width", "seed"])
def test_a_json_number_is_read_as_its_text(column: str, cell: str, tmp_path: Path) -> None:
    as_number, as_csv = written(tmp_path, "JSON number", column, cell), written(tmp_path, "csv", column, cell)
    assert as_number.table[column].equals(as_csv.table[column])
    assert as_number.bad.to_pylist() == as_csv.bad.to_pylist()


@pytest.mark.parametrize("name", ["seed", "Seed", "noise_seed"])
def test_a_json_seed_under_any_name_is_never_rounded(name: str, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(
        f'{{"custom_id":"a","prompt":"p","{name}":{LARGE}}}\n{{"custom_id":"b","prompt":"p","{name}":1.0}}\n'
    )
    assert checked(read_table(stores(), str(tmp_path / "m.jsonl"))).table["seed"].to_pylist() == [LARGE, 1]


@pytest.mark.parametrize(
    "kind", [pa.decimal128(38, 0), pa.decimal128(30, 10), pa.decimal256(76, 40), pa.decimal64(18, 0)], ids=str
)
def test_decimals_are_exact(kind: pa.DataType) -> None:
    assert typed("seed", pa.array([Decimal(LARGE), None, Decimal(7)], kind)).table["seed"].to_pylist()[::2] == [
        LARGE,
        7,
    ]


def test_a_decimal_that_is_no_whole_number_or_too_large_fails_its_row() -> None:
    manifest = typed(
        "seed", pa.array([Decimal("7.5"), Decimal(2**63), Decimal(-(2**64)), Decimal(3)], pa.decimal128(38, 2))
    )
    assert manifest.bad["row"].to_pylist() == [0, 1, 2]
    assert checked(restored(manifest.frozen)).bad["row"].to_pylist() == [0, 1, 2]
    assert typed("width", pa.array([Decimal("1.000")], pa.decimal128(9, 3))).table["width"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("kind", "exact"),
    [(np.float16, 2**11 - 1), (np.float32, 2**24 - 1), (np.float64, 2**53 - 1)],
    ids=["half", "single", "double"],
)
def test_floats_that_others_were_rounded_to_are_refused(kind: Any, exact: int) -> None:
    manifest = typed("seed", pa.array(np.array([exact, exact + 1, 7], kind)))
    assert manifest.table["seed"].to_pylist() == [exact, None, 7]
    [found] = manifest.bad.to_pylist()
    assert found["row"] == 1 and "floating point does not hold" in found["error_message"]


def test_a_doubtful_float_stays_doubtful_among_exact_seeds() -> None:
    manifest = typed("seed", pa.array([2.0**53, 7.0]))
    exact = pa.array([None, 2**53], pa.int64())
    frozen = manifest.frozen
    again = checked(restored(frozen.set_column(frozen.column_names.index("seed"), "seed", exact)))
    assert again.bad["row"].to_pylist() == [0] and again.table["seed"].to_pylist() == [None, 2**53]


def test_texts_in_parquet_of_which_none_is_a_number_refuse_the_job() -> None:
    with pytest.raises(Exception, match="“width” is of type string, but a whole number is needed"):
        typed("width", pa.array(["wide", "1,000"]))
    assert typed("width", pa.array(["", None])).table["width"].to_pylist() == [128, 128]
