"""Job folders that Pressrun 0.1.0 wrote: they are resumed, verified, published and kept from.

`made_by_0_1_0/` holds them, rendered there by `mini` with 0.1.0's command and the manifests and finishing spec beside
them:

    pressrun render plain.parquet --out plain
    pressrun render plain.parquet --out unfinished --limit 1
    pressrun render plain.parquet --out kept --keep-pixels --limit 2
    pressrun render finished.parquet --out finished --finish finish.toml --format jpeg
"""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, render
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.results.status import read_status
from tests.conftest import Pressrun
from tests.opening import open_store, stores

MADE_BY_0_1_0 = Path(__file__).with_name("made_by_0_1_0")
PICTURES = {"plain": 3, "finished": 4}
both = pytest.mark.parametrize("name", PICTURES)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A copy of them all that a test may change."""
    return shutil.copytree(MADE_BY_0_1_0, tmp_path / "older")


def asked(older: Path, name: str, out: str, **more: object) -> JobSpec:
    """The very order that job was of, into `out`."""
    finish = {"finish": str(older / "finish.toml"), "format": "jpeg"} if name == "finished" else {}
    return JobSpec(str(older / f"{name}.parquet"), str(older / out), **finish, **more)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_they_say_no_schema_version() -> None:
    for name in ("plain", "finished", "unfinished", "kept"):
        assert "schema_version" not in json.loads((MADE_BY_0_1_0 / name / "job.json").read_bytes())


@both
def test_a_finished_one_has_nothing_left_to_render_and_stays_as_it_is(older: Path, name: str) -> None:
    before = files(older / name)
    summary = render(asked(older, name, name))
    assert (summary.rendered, summary.pending, summary.stopped) == (0, 0, None)
    assert files(older / name) == before


def test_an_unfinished_one_goes_on_and_nothing_that_is_there_is_rendered_again(older: Path) -> None:
    out, before = older / "unfinished", files(older / "unfinished")
    ended = Pressrun(older)("render", older / "plain.parquet", "--out", out, "--json")
    assert (ended.code, ended.json["succeeded"], ended.json["rendered"]) == (0, 3, 2), ended.err
    after = files(out)
    assert {path: after[path] for path in before if not path.startswith("results/")} == {
        path: data for path, data in before.items() if not path.startswith("results/")
    }
    assert verify(open_store(str(out))).discrepancies == ()
    keys = [pq.read_table(job / "results/part-000000.parquet")["render_key"] for job in (out, older / "plain")]
    assert keys[0] == keys[1]


@both
def test_a_finished_one_is_verified(name: str) -> None:
    audit = verify(open_store(str(MADE_BY_0_1_0 / name)))
    assert (audit.discrepancies, audit.pictures) == ((), PICTURES[name])


def test_their_status_is_read() -> None:
    status = {name: read_status(open_store(str(MADE_BY_0_1_0 / name))) for name in ("plain", "finished", "unfinished")}
    assert [(one.succeeded, one.rejected, one.flagged, one.finished) for one in status.values()] == [
        (3, 0, 0, True),
        (2, 1, 2, True),
        (1, 0, 0, False),
    ]


@both
def test_a_finished_one_is_published(older: Path, name: str) -> None:
    publish(stores(), str(older / name), str(older / "shop"))
    shown = {path: data for path, data in files(older / "shop").items() if not path.startswith(".published/")}
    assert shown == files(MADE_BY_0_1_0 / name / "images")


@both
def test_the_next_night_keeps_all_of_it(older: Path, name: str) -> None:
    summary = render(asked(older, name, "next", since=str(older / name)))
    assert (summary.rendered, summary.cached, summary.pending) == (0, {"plain": 3, "finished": 2}[name], 0)
    assert files(older / "next/images") == files(MADE_BY_0_1_0 / name / "images")
    assert verify(open_store(str(older / "next"))).discrepancies == ()


def test_pixels_that_it_kept_are_finished_again_without_rendering(older: Path) -> None:
    kept = str(older / "kept/pixels")
    spec = asked(older, "plain", "again", finish=str(older / "finish.toml"), keep_pixels=kept, limit=2)
    summary = render(spec)
    assert (summary.succeeded, summary.rendered, summary.pending) == (2, 0, 1)
    assert {*files(older / "again/images")} == {"mug.png", "mug@small.webp", "lamp.png", "lamp@small.webp"}
