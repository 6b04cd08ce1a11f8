"""What finding repetitions costs: seconds and memory for many perceptual hashes, easy ones and nasty ones.

    python -m tests.bench.likenesses [--count 100000] [--least 6] [--json FILE]

Each case is measured in a process of its own. `first` is what flagging and rejecting ask for, `stays` what re-seeding
asks for when a round begins.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pressrun.jobs.dedup.near_duplicates import earliest_alike, first_that_stays
from pressrun.pipeline.checks.likeness import BITS

ONE = np.uint64(0x0123456789ABCDEF)


def planted(count: int, random: np.random.Generator) -> np.ndarray:
    """A tenth of the pictures repeats an earlier one but for up to three bits."""
    made = random.integers(0, 2**BITS, count, np.uint64)
    again = count // 10
    made[-again:] = changed(made[random.integers(0, count - again, again)], 3, random)
    return made


def grey(count: int, random: np.random.Generator) -> np.ndarray:
    """No colour: 24 of the bits are the same for all."""
    return random.integers(0, 2**40, count, np.uint64)


def some_on_white(count: int, random: np.random.Generator) -> np.ndarray:
    """A twentieth of the pictures is one product on white."""
    made = random.integers(0, 2**BITS, count, np.uint64)
    made[random.permutation(count)[: count // 20]] = changed(np.full(count // 20, ONE), 4, random)
    return made


def all_on_white(count: int, random: np.random.Generator) -> np.ndarray:
    """All pictures are one product on white, up to six bits from it."""
    return changed(np.full(count, ONE), 6, random)


def around_white(count: int, random: np.random.Generator) -> np.ndarray:
    """All pictures are up to sixteen bits from one of them: much in common, and few of them alike."""
    return changed(np.full(count, ONE), 16, random)


CASES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    case.__name__.replace("_", " "): case for case in (planted, grey, some_on_white, all_on_white, around_white)
}


def changed(hashes: np.ndarray, bits: int, random: np.random.Generator) -> np.ndarray:
    """Hashes in each of which up to so many bits are others."""
    for _ in range(bits):
        hashes = hashes ^ (np.uint64(1) << random.integers(0, BITS, len(hashes), np.uint64))
    return hashes


def measured(case: str, count: int, least: int) -> dict[str, Any]:
    """One case, in this process."""
    hashes = CASES[case](count, np.random.default_rng(1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    alike = earliest_alike(hashes, least)[0] >= 0
    middle = time.perf_counter()
    goes = first_that_stays(hashes, np.zeros(count, int), np.arange(count), least) >= 0
    ended = time.perf_counter()
    mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "case": case,
        "first_seconds": middle - started,
        "alike": int(alike.sum()),
        "stays_seconds": ended - middle,
        "goes": int(goes.sum()),
        "mib": mib,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--least", type=int, default=6)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measured(options.case, options.count, options.least)))
        return
    print(f"load {os.getloadavg()[0]:.1f}; {options.count:,} pictures, {options.least} bits")
    print("| pictures | first, s | alike | stays, s | go | MiB |\n|---|---|---|---|---|---|")
    found = []
    for case in CASES:
        again = [sys.executable, "-m", "tests.bench.likenesses", "--case", case]
        again += ["--count", str(options.count), "--least", str(options.least)]
        row = json.loads(subprocess.run(again, check=True, capture_output=True, text=True).stdout)
        found.append(row)
        print(
            f"| {case} | {row['first_seconds']:.2f} | {row['alike']:,} | {row['stays_seconds']:.2f} "
            f"| {row['goes']:,} | {row['mib']:.0f} |",
            flush=True,
        )
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
