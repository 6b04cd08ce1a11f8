"""Nights as they are run: the shipped example, one beside another, and where a run stops."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.cluster.store.lease import Lease
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.cli.command import main
from pressrun.jobs.examples import make_nights
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.folder.series import series_lock
from pressrun.jobs.planning.estimate import expected_seconds
from pressrun.jobs.run.forecast import forecast
from pressrun.jobs.spec.run_limits import RunLimits
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import RenderKeys, next_seed
from tests.conftest import ROOT, Ended, Pressrun
from tests.opening import open_store, stores

EXAMPLES = ROOT / "jobs/examples"
ROWS, CHANGED = 40, 2


def test_the_shipped_nights_are_those_that_their_script_writes() -> None:
    for number, night in enumerate(make_nights.nights(), 1):
        assert pq.read_table(EXAMPLES / f"night-{number}.parquet").equals(night)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Ended]]:
    """The shipped example rendered, the first night in two goes; and what was said."""
    folder = tmp_path_factory.mktemp("nights")
    run = Pressrun(folder)
    first = ("render", EXAMPLES / "night-1.parquet", "--out", folder / "2026-11-20", "--json")
    second = ("render", EXAMPLES / "night-2.parquet", "--out", folder / "2026-11-21", "--json", "--since", "latest")
    said = {
        "stopped": run(*first, "--max-images", 30, "--on-finish", "cat > summary.json; echo told; exit 5"),
        "first": run(*first),
        "planned": run(*second, "--dry-run"),
        "second": run(*second),
    }
    return folder, said


def test_the_second_night_renders_what_changed_and_nothing_else(nights: tuple[Path, dict[str, Ended]]) -> None:
    folder, said = nights
    assert (said["first"].code, said["second"].code) == (0, 0), said
    second = said["second"].json
    assert (second["rendered"], second["succeeded"], second["cached"]) == (CHANGED, CHANGED, ROWS - CHANGED)
    assert second["changes"]["reasons"] == {"new": 1, "prompt": 1, "removed": 1}
    digests = [dict(zip(*_columns(folder / f"2026-11-{day}"), strict=True)) for day in (20, 21)]
    differ = {name for name in digests[0].keys() & digests[1].keys() if digests[0][name] != digests[1][name]}
    assert differ == set(make_nights.REWORDED)
    for day in (20, 21):
        assert verify(open_store(str(folder / f"2026-11-{day}"))).discrepancies == ()
    for name in differ ^ (digests[0].keys() & digests[1].keys()):
        assert (folder / f"2026-11-21/images/{name}.png").samefile(folder / f"2026-11-20/images/{name}.png")


def _columns(job: Path) -> tuple[list[str], list[str]]:
    results = read_results(open_store(str(job)), ("sha256",))
    return results["custom_id"].to_pylist(), results["sha256"].to_pylist()


def test_a_run_stops_after_so_many_pictures_and_goes_on(nights: tuple[Path, dict[str, Ended]]) -> None:
    said = nights[1]
    stopped, rest = said["stopped"], said["first"].json
    assert (stopped.code, stopped.json["rendered"], stopped.json["pending"]) == (3, 30, 10)
    assert stopped.json["stopped"] == "--max-images 30 is reached."
    assert (rest["rendered"], rest["succeeded"]) == (10, ROWS)


def test_a_command_is_given_the_summary_and_its_failure_changes_nothing(nights: tuple[Path, dict[str, Ended]]) -> None:
    folder, said = nights
    given = json.loads((folder / "summary.json").read_text())
    assert given == said["stopped"].json
    assert "told" in said["stopped"].err and "ended with 5" in said["stopped"].err
    assert "told" not in said["stopped"].out


def test_a_dry_run_judges_by_how_long_other_nights_took(nights: tuple[Path, dict[str, Ended]]) -> None:
    plan = nights[1]["planned"].json
    assert (plan["pending"], plan["cached"]) == (CHANGED, ROWS - CHANGED)
    assert plan["based_on"] == "as 1 other job took, start-up included" and plan["seconds"] > 0


def test_start_up_is_told_from_work_where_other_nights_tell_it() -> None:
    assert expected_seconds([], 1.0) is None
    assert expected_seconds([(2.0, 30.0)], 1.0, 10.0) == pytest.approx(20.0)
    assert expected_seconds([(1000.0, 5000.0)], 0.1, 10.0) == pytest.approx(10.5, abs=0.01), "a small night has a start"
    assert expected_seconds([(2.0, 4.0)], 1.0, 10.0) == pytest.approx(4.0), "and none that was longer than a whole one"
    assert expected_seconds([(1.0, 20.0), (11.0, 120.0)], 0.0) == pytest.approx(10.0)
    assert expected_seconds([(1.0, 50.0), (10.0, 20.0)], 1.0, 10.0) == pytest.approx(10 + 50 / 11)


def test_minutes_end_what_is_taken_up_not_what_is_under_way() -> None:
    units: Any = iter(["one", "two"])
    assert list(RunLimits(minutes=1e-9).in_time(units)) == []
    limits = RunLimits(minutes=60.0)
    assert list(limits.in_time(iter(["one", "two"]))) == ["one", "two"]  # type: ignore[list-item]
    assert limits.reached() is None
    late = RunLimits(minutes=0.5, started=-1e9)
    assert list(late.in_time(units)) == [] and late.reached() == "`max_minutes` 0.5 are over."


def test_the_first_rows_are_afforded() -> None:
    limits = RunLimits(images=2)
    assert limits.affordable(np.array([4, 7, 9])).tolist() == [4, 7]
    assert limits.reached() == "`max_images` 2 is reached."
    assert RunLimits(images=3).reached() is None


@pytest.mark.parametrize("option", [{"max_images": 0}, {"max_minutes": 0.0}, {"limit": 0}])
def test_a_limit_that_leaves_nothing_is_refused(option: dict[str, Any], job_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="leaves no"):
        forecast(JobSpec(str(job_manifest), f"{tmp_path}/out", **option))


def test_overlapping_nights_are_refused_but_two_drivers_of_one_night_are_not(
    job: Path, job_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(job, tmp_path / "2026-11-20")
    store = open_store(str(tmp_path))
    store.prepare()
    night = ["render", str(job_manifest), "--out", f"{tmp_path}/2026-11-21", "--since", "latest"]
    with Lease(store, ".lock", f"A night is rendered into {tmp_path}/2026-11-22", beat_sec=0.2):
        assert main(night) == 2
        assert "A night is rendered into" in (err := capsys.readouterr().err) and "--wait waits for it" in err
        assert not (tmp_path / "2026-11-21").exists()
    with series_lock(stores(), f"{tmp_path}/2026-11-21", "latest", False, print):
        assert main(night) == 0
    assert main([*night, "--wait"]) == 0


def test_a_night_that_keeps_from_elsewhere_is_in_nobodys_way(tmp_path: Path) -> None:
    for since in (None, f"{tmp_path}/elsewhere/2026-11-20"):
        with (
            series_lock(stores(), f"{tmp_path}/2026-11-21", since, False, print),
            series_lock(stores(), f"{tmp_path}/2026-11-22", since, False, print),
        ):
            pass
    assert not (tmp_path / ".lock").exists()


def test_a_picture_of_a_later_seed_is_kept_too(job: Path, job_manifest: Path, tmp_path: Path) -> None:
    spec = JobSpec(str(job_manifest), f"{tmp_path}/again", since=str(job))
    [part] = (job / "results").iterdir()
    table = pq.read_table(part)
    manifest = pq.read_table(job / "manifest.parquet").to_pylist()[3]
    digest = json.loads((job / "job.json").read_text())
    seed = next_seed(next_seed(manifest["seed"]))
    sizes = [manifest[name] for name in ("width", "height", "steps", "guidance")]
    key = RenderKeys(digest["model_digest"], digest["precision"])(manifest["prompt"], *sizes, seed)
    for name, value in {"reseeds": 2, "seed": seed, "render_key": key}.items():
        values = table[name].to_pylist()
        values[3] = value
        column = table.schema.get_field_index(name)
        table = table.set_column(column, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    pq.write_table(table, part)
    summary = render(spec)
    assert (summary.cached, summary.rendered) == (table.num_rows, 0)
    kept = read_results(open_store(spec.out), ("seed", "reseeds"))
    assert (kept["seed"][3].as_py(), kept["reseeds"][3].as_py()) == (seed, 2)
    other = forecast(replace(spec, out=f"{tmp_path}/third", since=spec.out))
    assert other.pending == 0
