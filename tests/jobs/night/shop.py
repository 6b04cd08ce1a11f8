"""A shop with a night's file, whose pictures are made up in this process."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pressrun.cluster.store.store import Store
from pressrun.jobs.night.night import run_night
from pressrun.jobs.night.night_file import NightFile, read_night_file
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.spec.context import Context
from tests.jobs.driven import made_up
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store, stores

HERE = HereExecutor(lambda job, item: made_up(item.render_key))
FILE = """
manifest = "tonight.parquet"
nights = "nights"
[publish]
to = "images"
remove = true
[diff]
page = true
[prune]
keep = 2
"""


class Shop:
    """Everything lies at `base`, a folder or a bucket. `rows` of a night are prompts by custom_id."""

    def __init__(self, base: str, file: str = FILE) -> None:
        self.base, self.store = base, open_store(base)
        self.rewrite(file)

    def rewrite(self, file: str) -> None:
        """Another night's file."""
        self.store.put("night.toml", file.encode())

    @property
    def file(self) -> NightFile:
        return read_night_file(stores(), f"{self.base}/night.toml")

    def wants(self, rows: Mapping[str, str], **columns: Any) -> None:
        """The manifest is exported; an empty prompt fails its row."""
        table: dict[str, Any] = {"custom_id": list(rows), "prompt": list(rows.values())}
        table |= {name: [value] * len(rows) for name, value in (("width", 16), ("height", 16), ("steps", 1))} | columns
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(table), sink)
        self.store.put("tonight.parquet", sink.getvalue().to_pybytes())

    def night(self, day: int, **more: Any) -> NightReport:
        """A night of November 2026, which begins at 2 o'clock in UTC."""
        started = datetime(2026, 11, day, 2, tzinfo=UTC)
        options: dict[str, Any] = {"started": started, "executor": HERE, "context": Context.of_this_process()} | more
        return run_night(self.file, **options)

    def summary(self, night: str) -> Summary:
        """What a finished night adds up to."""
        told = json.loads(self.store.get(f"nights/{night}/summary.json"))
        return Summary(told["out"], told["model"], told["rows"], succeeded=told["succeeded"], cached=told["cached"])

    def at(self, path: str) -> Store:
        return open_store(f"{self.base}/{path}")

    def images(self) -> dict[str, bytes]:
        """What the shop serves."""
        store = self.at("images")
        return {path: store.get(path) for path in store.paths() if not path.startswith(".")}
