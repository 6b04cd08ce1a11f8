"""The determinism contract: a request's pixels depend on the request, the model and the precision, and on nothing else.

Each test renders some rows of the same campaign in other circumstances and compares digests with the finished job's.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Pressrun, mixed_rows, write_manifest


def digests(job: Path) -> dict[str, str]:
    [part] = (job / "results").iterdir()
    table = pq.read_table(part, columns=["custom_id", "sha256"])
    return dict(zip(*table.to_pydict().values(), strict=True))


def test_a_row_alone_has_the_pixels_that_it_has_in_a_unit(
    finished_job: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    rows = [mixed_rows()[number] for number in (4, 10)]  # one of a full unit, one with two references
    manifest = write_manifest(tmp_path / "in", rows)
    assert pressrun("render", manifest, "--out", tmp_path / "out").code == 0
    assert digests(tmp_path / "out").items() <= digests(finished_job).items()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--layout", "staged", "--replicas", 2), id="two staged replicas"),
        pytest.param(("--layout", "whole", "--replicas", 1), id="one whole replica", marks=pytest.mark.slow),
        pytest.param(("--shards", 3), id="one replica of three shards"),
    ],
)
def test_another_layout_gives_the_same_pixels(
    options: tuple[object, ...], finished_job: Path, job_manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    ended = pressrun("render", job_manifest, "--out", tmp_path / "out", *options)
    assert ended.code == 0, ended.err
    assert digests(tmp_path / "out") == digests(finished_job)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp8", "int8"])
def test_a_row_in_eight_bits_has_its_pixels_alone_and_in_shards(
    precision: str, job_manifest: Path, pressrun: Pressrun, tmp_path: Path
) -> None:
    def rendered(manifest: Path, name: str, *options: object) -> dict[str, str]:
        ended = pressrun("render", manifest, "--out", tmp_path / name, "--precision", precision, *options)
        assert ended.code == 0, ended.err
        return digests(tmp_path / name)

    whole = rendered(job_manifest, "whole", "--layout", "whole", "--replicas", 1)
    assert rendered(job_manifest, "shards", "--shards", 3) == whole
    alone = write_manifest(tmp_path / "in", [mixed_rows()[number] for number in (4, 10)])
    assert rendered(alone, "alone").items() <= whole.items()


def test_a_resume_renders_only_what_is_missing_and_gives_the_same_pixels(
    job: Path, finished_job: Path, job_manifest: Path, pressrun: Pressrun
) -> None:
    for number in (0, 5, 10):
        (job / f"images/row-{number}.png").unlink()
    ended = pressrun("render", job_manifest, "--out", job, "--json")
    assert (ended.code, ended.json["rendered"]) == (0, 3)
    assert digests(job) == digests(finished_job)


@pytest.mark.long
def test_in_the_staged_layout_a_unit_denoises_while_the_one_before_is_decoded(
    pressrun: Pressrun, tmp_path: Path
) -> None:
    rows = [{**mixed_rows()[0], "custom_id": f"row-{number}", "prompt": f"mug {number}"} for number in range(24)]
    manifest = write_manifest(tmp_path / "in", rows)
    ended = pressrun("render", manifest, "--out", tmp_path / "out", "--layout", "staged")
    assert ended.code == 0, ended.err
    spans = json.loads((tmp_path / "out/timeline.json").read_text())["traceEvents"]

    def lane(stage: str) -> list[tuple[int, int, int]]:
        return [
            (int(span["name"].split()[1]), span["ts"], span["ts"] + span["dur"])
            for span in spans
            if span["cat"] == stage and " " in span["name"]
        ]

    overlaps = [
        (unit, later)
        for unit, start, end in [*lane("decode"), *lane("finish")]
        for later, later_start, later_end in lane("denoise")
        if later > unit and later_start < end and start < later_end
    ]
    assert overlaps, spans
