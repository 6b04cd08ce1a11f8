"""How long a run will take, judged by how long other nights took: start-up, and seconds for each megapixel."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.scheduling.timeline import STAGES
from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.job_file import SUMMARY
from pressrun.jobs.folder.night_name import NightName
from pressrun.jobs.folder.series import prefix_of
from pressrun.jobs.planning.plan import Plan
from pressrun.jobs.resolve.resolved_job import ResolvedJob
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import MULTIPLE

NIGHTS = 7
"""Nights that are asked, the last ones."""

START_SEC = 10.0
"""Until Ray and Python's libraries are there, and what a model takes besides for each byte of its weights."""
SECONDS_PER_BYTE = 1e-9


def past_runs(out: Store, model: str, earlier: Sequence[str] = ()) -> list[tuple[float, float]]:
    """Megapixels and seconds of finished runs with the same model: of the last dated jobs beside `out`, and of the
    jobs at `earlier`."""
    places = set(earlier)
    try:
        prefix, name = prefix_of(out.uri)
        if NightName.parse(name):
            found = filter(None, map(NightName.parse, out.stores.open(prefix).level()[0]))
            nights = [night.name for night in sorted(found, key=lambda night: night.order) if night.name != name]
            places |= {f"{prefix}/{other}" for other in nights[-NIGHTS:]}
    except JobError:
        pass
    runs = []
    for place in sorted(places):
        try:
            said = json.loads(out.stores.open(place).get(SUMMARY))
            run = float(said["megapixels"]), float(said["seconds"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
        if said.get("model") == model and run[0] > 0:
            runs.append(run)
    return runs


def estimate(order: ResolvedJob, plan: Plan, results: pa.Table) -> tuple[float | None, str]:
    """Seconds that a plan takes, and by what that was judged: by other nights, else by this job's earlier `results`,
    else by what the catalogue knows of the model."""
    model = order.model
    start = START_SEC + model.bytes * SECONDS_PER_BYTE
    runs = past_runs(order.store, order.job.model, order.earlier)
    if expected := expected_seconds(runs, plan.megapixels, start):
        return expected, f"as {len(runs)} other job{'s' if len(runs) > 1 else ''} took, start-up included"
    done = results.filter(pc.is_valid(results["seconds_denoise"]))
    if done.num_rows:
        seconds = sum(pc.sum(done[f"seconds_{stage}"]).as_py() or 0.0 for stage in STAGES[:-1])
        megapixels = pc.sum(pc.multiply(done["width"], done["height"])).as_py() / 1e6
        why = "start-up, and the seconds of this job's earlier pictures, one after the other"
        return start + seconds / megapixels * plan.megapixels, why
    if not model.picture_seconds:
        return None, "nothing is known before the first pictures"
    work = sum(shape.tokens * shape.nfe * rows for shape, rows in plan.rows_by_shape())
    tokens = model.text_length + (model.width // MULTIPLE) * (model.height // MULTIPLE)
    return start + model.picture_seconds * work / (tokens * model.steps), f"one {model.picture_device}, with start-up"


def expected_seconds(runs: Sequence[tuple[float, float]], megapixels: float, start: float = START_SEC) -> float | None:
    """Seconds for so much work: on the straight line through the runs, if they tell start-up from work, else what a
    start takes, and for each megapixel what was left of their seconds."""
    if not runs:
        return None
    work, seconds = (np.array(column) for column in zip(*runs, strict=True))
    if work.max() >= 2 * work.min():
        each, at_first = np.polyfit(work, seconds, 1)
        if each > 0 and at_first > 0:
            return float(at_first + each * megapixels)
    start = min(start, float(seconds.min()))
    return float(start + (seconds - start).sum() / work.sum() * megapixels)
