"""Manifests that nobody would write go the whole way: refused in sentences, or rendered, closed, audited, resumed."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from pressrun import JobSpec, render
from pressrun.cluster.protocol.unit import Item
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.run.open_job import OpenJob
from pressrun.jobs.tables.table_reader import read_table
from pressrun.pipeline.errors import JobError
from tests.jobs.executor_here import HereExecutor
from tests.jobs.manifest.test_manifest_fuzz import QUICK, SLOW, assert_sentence, damaged, files
from tests.opening import open_store

FEW = settings(QUICK, max_examples=25)
SOME = settings(SLOW, max_examples=1_000)


@pytest.fixture(autouse=True, scope="module")
def read_here() -> Iterator[None]:
    """In this process: another one takes a second to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pressrun.jobs.resolve.resolved_job.read_manifest", read_table)
        yield


def drawn(job: OpenJob, item: Item) -> np.ndarray:
    """Grey, which costs nothing."""
    return np.full((item.request.height, item.request.width, 3), 128, np.uint8)


def goes_the_whole_way(ending: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"m{ending}")
        path.write_bytes(content)
        spec = JobSpec(str(path), f"{folder}/out")
        try:
            summary = render(spec, executor=HereExecutor(drawn))
        except JobError as refused:
            for problem in refused.problems:
                assert_sentence(problem, 4_000)
            return
        assert (summary.unmade, summary.stopped, summary.pending) == ((), None, 0)
        assert summary.succeeded + summary.failed == summary.rows
        assert verify(open_store(spec.out)).discrepancies == ()
        assert render(spec, executor=HereExecutor(drawn)).rendered == 0


@FEW
@given(file=files())
def test_a_manifest_of_anything_goes_the_whole_way(file: tuple[str, bytes]) -> None:
    goes_the_whole_way(*file)


@FEW
@given(file=damaged())
def test_a_damaged_manifest_goes_the_whole_way(file: tuple[str, bytes]) -> None:
    goes_the_whole_way(*file)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@SOME
@given(file=files())
def test_a_thousand_manifests_go_the_whole_way(file: tuple[str, bytes]) -> None:
    goes_the_whole_way(*file)
