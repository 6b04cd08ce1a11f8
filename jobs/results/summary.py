"""The summary: what a job adds up to. `rows` is the sum of the four counts, or the job is not done."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.protocol.batch_limits import BatchLimit
from pressrun.jobs.folder.causes import Cause
from pressrun.jobs.folder.result_schema import STATUSES, is_done
from pressrun.jobs.folder.schema_version import NAME, VERSION
from pressrun.jobs.results.changes import NOTHING, Changes


@dataclass(frozen=True)
class Summary:
    """A job's counts after a run, and the run's own figures.

    `flagged` are those of the pictures that a check would have a person look at, `rendered` those that this run
    denoised, `stored` those of them that it stored. `busy` is each stage's share of its workers' time in steady state,
    and under "replica" how much of it the denoise replicas computed anything (see `cluster.scheduling.timeline`).
    `smaller_batches` are the sizes of picture of which less than a whole batch fits a kind of device (see
    `jobs.planning.batches`). `causes` say why rows failed, `changes` what is not kept from the job of `since` and
    why, `unmade` says of each page that could not be made which and why, and `stopped` why the run ended early (then
    `pending` rows are left and the same call goes on); `ending` is the code of that (see `jobs.run.ending.EndCode`).
    """

    out: str
    model: str
    rows: int
    succeeded: int = 0
    cached: int = 0
    failed: int = 0
    rejected: int = 0
    flagged: int = 0
    pending: int = 0
    rendered: int = 0
    stored: int = 0
    megapixels: float = 0.0
    seconds: float = 0.0
    images_per_second: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)
    layout: str = ""
    smaller_batches: tuple[BatchLimit, ...] = ()
    causes: tuple[Cause, ...] = ()
    changes: Changes = NOTHING
    unmade: tuple[str, ...] = ()
    stopped: str | None = None
    ending: str = "done"

    @property
    def exit_code(self) -> int:
        """0 all rows succeeded or cached, 1 some failed or were rejected, 3 stopped and resumable."""
        if self.stopped:
            return 3
        return 1 if self.failed or self.rejected else 0

    def to_json(self) -> bytes:
        """The bytes of summary.json."""
        return (json.dumps({NAME: VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n").encode()


def count_flagged(results: pa.Table) -> int:
    """Pictures that a check flagged."""
    return int(np.count_nonzero(is_done(results) & results["flags"].is_valid().to_numpy()))


def count_statuses(results: pa.Table) -> dict[str, int]:
    """Rows of each status."""
    counts = pc.value_counts(results["status"])
    found = {pair["values"]: pair["counts"] for pair in counts.to_pylist()}
    return {status: found.get(status, 0) for status in STATUSES}
