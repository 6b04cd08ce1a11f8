"""What expanding a campaign costs: rows per second and peak memory at 100k, 1M and 10M rows.

    python -m tests.bench.variants [ROWS ...]

Each figure is a `pressrun variants` of its own, from the start of Python to its exit: four axes, one of them a table,
two languages, six columns of text. Peak memory is the whole process tree's.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from tests.bench.measured import Measured, run_measured

SIZES = (100_000, 1_000_000, 10_000_000)
PER_PRODUCT = 4 * 5 * 5
CAMPAIGN = """
seed_from = ["product"]
prompt = { en = "a {colour} {product} in {season}, for {audience}", de = "{product} in {colour}, {season}" }
[axes]
product = { table = "products.csv" }
season = ["spring", "summer", "autumn", "winter"]
region = [
  { region = "UK", language = "en" }, { region = "US", language = "en" }, { region = "DE", language = "de" },
  { region = "AT", language = "de" }, { region = "CH", language = "de" },
]
audience = ["families", "students", "runners", "commuters", "hikers"]
[columns]
headline = { en = "Your {season} {product}", de = "{product} im {season}" }
legal = "Offer ends when the season does. {region}"
[[override]]
when = { season = "winter", region = "CH" }
set = { headline = "Grüezi, {product}" }
"""


def measured(rows: int) -> tuple[Measured, int]:
    """One expansion of about `rows` rows, and the manifest's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lines = (f"product {number};{('red', 'blue', 'teal')[number % 3]}" for number in range(rows // PER_PRODUCT))
        (place / "products.csv").write_text("product;colour\n" + "\n".join(lines) + "\n")
        (place / "campaign.toml").write_text(CAMPAIGN)
        command = [str(Path(sys.executable).with_name("pressrun")), "variants", str(place / "campaign.toml")]
        ended = run_measured([*command, "--out", str(place / "m.parquet"), "--max-rows", str(rows)])
        assert ended.code == 0, ended.err
        assert pq.ParquetFile(place / "m.parquet").metadata.num_rows == rows // PER_PRODUCT * PER_PRODUCT
        return ended, (place / "m.parquet").stat().st_size


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("rows", nargs="*", type=int, default=SIZES)
    print(f"{'rows':>12}{'seconds':>10}{'CPU s':>8}{'rows/s':>12}{'peak MiB':>10}{'MB written':>12}")
    for rows in options.parse_args().rows:
        ended, size = measured(rows)
        print(
            f"{rows:>12,}{ended.seconds:>10.1f}{ended.cpu_seconds:>8.1f}{rows / ended.seconds:>12,.0f}"
            f"{ended.peak_mib:>10.0f}{size / 1e6:>12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
