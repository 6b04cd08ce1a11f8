"""Thousands of random schedules of all commands, with kills, pauses and other people's changes: see `schedules`.

Every schedule has a number. One that fails says its number and its steps; `python -m tests.jobs.schedules` replays it.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from pressrun import JobSpec, render
from pressrun.cluster.store.s3_client import s3_client
from pressrun.jobs.audit.verify import verify
from pressrun.pipeline.errors import JobError
from tests.jobs import schedules
from tests.jobs.auditor import audit, files_under, read_file
from tests.jobs.damage import damaged
from tests.jobs.driven import Driven, driven
from tests.jobs.worlds import BucketWorld
from tests.opening import open_store


@pytest.fixture(scope="module")
def state() -> Iterator[Driven]:
    with driven() as state:
        yield state


def run(state: Driven, kind: str, folder: Path, seeds: range) -> None:
    for seed in seeds:
        world = schedules.new_world(state, kind, folder / "w")
        violated, told = schedules.replay(state, world, schedules.steps_of(seed, kind))
        assert not violated, "\n".join([f"Seed {seed} in a {kind}:", *told, f"Violated: {violated}"])


@pytest.mark.parametrize("first", range(0, 250, 50))
def test_schedules_in_a_folder(first: int, state: Driven, tmp_path: Path) -> None:
    run(state, "folder", tmp_path, range(first, first + 50))


def test_schedules_in_a_bucket(state: Driven, tmp_path: Path) -> None:
    run(state, "bucket", tmp_path, range(50))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1_000, 9_000, 500))
def test_many_schedules_in_a_folder(first: int, state: Driven, tmp_path: Path) -> None:
    run(state, "folder", tmp_path, range(first, first + 500))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1_000, 3_000, 500))
def test_many_schedules_in_a_bucket(first: int, state: Driven, tmp_path: Path) -> None:
    run(state, "bucket", tmp_path, range(first, first + 500))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_schedules_on_a_real_server(state: Driven, s3_bucket: str) -> None:
    """What the bucket in memory answers is what a server answers: nothing else comes out."""
    state.client = None
    client = s3_client(tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))))
    for seed in range(20):
        world = BucketWorld(client, s3_bucket.removeprefix("s3://"), f"w{seed}", odd_keys=False)
        violated, told = schedules.replay(state, world, schedules.steps_of(seed, "bucket"))
        assert not violated, "\n".join([f"Seed {seed} on a server:", *told, f"Violated: {violated}"])


ROWS = {"s0": "a mug", "s1": "a lamp", "s2": "", "s3": "a chair", "s & <4>": "a sofa"}


@pytest.fixture(scope="module")
def night(state: Driven, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished night that has kept pictures and rendered some, and of which a row has failed."""
    folder = tmp_path_factory.mktemp("nights")
    columns = {name: [16] * len(ROWS) for name in ("width", "height", "steps")} | {"season": ["fall"] * len(ROWS)}
    for day, prompts in (("20", [*ROWS.values()][:2] + [""] * 3), ("21", list(ROWS.values()))):
        state.tables = {f"{folder}/in.parquet": pa.table({"custom_id": list(ROWS), "prompt": prompts, **columns})}
        render(JobSpec(f"{folder}/in.parquet", f"{folder}/2026-11-{day}", since="latest"))
    return folder / "2026-11-21"


def verdicts(job: Path) -> tuple[list[str], list[str]]:
    """What verify finds in a job, and what the auditor does."""
    try:
        said = [one.message for one in verify(open_store(str(job))).discrepancies]
    except JobError as error:
        said = [str(error)]
    try:
        return said, audit(files_under(str(job)), read_file)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return said, [f"job: {error}"]


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_whatever_became_of_a_job_verify_and_the_auditor_agree(count: int, night: Path, tmp_path: Path) -> None:
    assert verdicts(night) == ([], [])
    for seed in range(count):
        job = Path(shutil.copytree(night, tmp_path / "job", dirs_exist_ok=False))
        what = damaged(job, random.Random(seed))
        said, found = verdicts(job)
        assert bool(said) == bool(found), (seed, what, said, found)
        shutil.rmtree(job)
