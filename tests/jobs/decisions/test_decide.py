"""What people decide of pictures is kept in the job, and what is to be made again is made again, in the job."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pressrun import JobSpec, Summary, render
from pressrun.cluster.protocol.unit import Item
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.cli.command import main
from pressrun.jobs.decisions.deciding import Decided, decide
from pressrun.jobs.decisions.decision import Decision, Decisions
from pressrun.jobs.decisions.decision_folder import ids_after, read_decisions
from pressrun.jobs.decisions.marks import Mark
from pressrun.jobs.delivery.belongings import belongings
from pressrun.jobs.delivery.publishing import publish
from pressrun.jobs.folder.result_schema import read_results
from pressrun.jobs.results.status import read_status
from pressrun.jobs.run.forecast import forecast
from pressrun.jobs.run.open_job import OpenJob
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import next_seed
from tests.jobs.executor_here import HereExecutor
from tests.opening import open_store, stores

FINISH = """
[[renditions]]
name = "thumb"
width = 32
height = 32
format = "webp"
"""
ROWS = [
    {"custom_id": name, "prompt": f"a {name}", "seed": seed, "agency": agency}
    for name, seed, agency in (("mug", 1, "North"), ("cap", 2, "North"), ("bag", 3, "South"), ("pen", 4, "South"))
]


class Drawn:
    """Draws every item as noise that its render key decides, and remembers which ones."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.before: Callable[[Item], None] = lambda item: None

    def __call__(self, job: OpenJob, item: Item) -> np.ndarray:
        self.before(item)
        self.items.append(item)
        noise = np.random.default_rng(int(item.render_key[:12], 16))
        return noise.integers(0, 256, (item.request.height, item.request.width, 3), np.uint8)

    @property
    def names(self) -> list[str]:
        return [item.request.custom_id for item in self.items]


@pytest.fixture
def drawn() -> Drawn:
    return Drawn()


@pytest.fixture(params=["folder", "s3"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/out" if request.param == "folder" else request.getfixturevalue("s3_bucket") + "/job"


@pytest.fixture
def spec(tmp_path: Path, out: str) -> JobSpec:
    return written(tmp_path, ROWS, out)


def written(folder: Path, rows: list[dict[str, Any]], out: str) -> JobSpec:
    pq.write_table(pa.Table.from_pylist([{"width": 64, "height": 64, **row} for row in rows]), folder / "m.parquet")
    (folder / "finish.toml").write_text(FINISH)
    return JobSpec(f"{folder}/m.parquet", out, finish=f"{folder}/finish.toml")


def run(spec: JobSpec, drawn: Drawn, stop: Event | None = None) -> Summary:
    return render(spec, stop=stop, executor=HereExecutor(drawn))


def rows(spec: JobSpec) -> dict[str, dict[str, Any]]:
    columns = ("sha256", "seed", "replaced_sha256", "error_code", "image", "render_key")
    return {row["custom_id"]: row for row in read_results(open_store(spec.out), columns).to_pylist()}


def again(spec: JobSpec, custom_id: str, prompt: str | None = None) -> Decided:
    return decide(open_store(spec.out), [Mark(custom_id, None, "rejected", None, True, prompt)], "Ada")


def wrongs(spec: JobSpec) -> list[str]:
    return [one.message for one in verify(open_store(spec.out)).discrepancies]


def test_a_decision_is_kept_with_who_decided_and_what_was_seen(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    done = decide(
        open_store(spec.out), [Mark("mug", None, "approved", "Lovely."), Mark("cap", None, "rejected")], "Ada"
    )
    assert (done.approved, done.rejected, done.again) == (1, 1, 0)
    decision = read_decisions(open_store(spec.out)).of("mug", rows(spec)["mug"]["sha256"])
    assert decision is not None and (decision.verdict, decision.comment, decision.by) == ("approved", "Lovely.", "Ada")


def test_what_was_decided_already_is_not_written_again(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    for _ in range(2):
        done = decide(open_store(spec.out), [Mark("mug", None, "approved", "Lovely.")], "Ada")
    assert (done.approved, done.unchanged) == (0, 1)
    assert len([*open_store(spec.out).paths("decisions/")]) == 1


def test_a_comment_leaves_the_verdict_as_it_is(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    decide(open_store(spec.out), [Mark("mug", None, "approved")])
    done = decide(open_store(spec.out), [Mark("mug", comment="A little dark.")])
    decision = read_decisions(open_store(spec.out)).of("mug", rows(spec)["mug"]["sha256"])
    assert done.commented == 1 and decision is not None and decision.verdict == "approved"


def test_what_is_rejected_with_again_has_its_next_seed_in_the_same_job(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    before = rows(spec)
    assert again(spec, "cap").again == 1
    drawn.items.clear()
    assert run(spec, drawn).rendered == 1
    now = rows(spec)
    assert drawn.names == ["cap"] and now["cap"]["seed"] == next_seed(2)
    assert now["cap"]["replaced_sha256"] == before["cap"]["sha256"] != now["cap"]["sha256"]
    assert {name: now[name] for name in ("mug", "bag", "pen")} == {name: before[name] for name in ("mug", "bag", "pen")}
    assert wrongs(spec) == []


def test_a_picture_that_was_made_again_is_undecided(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap")
    run(spec, drawn)
    assert read_decisions(open_store(spec.out)).verdict("cap", rows(spec)["cap"]["sha256"]) == ""
    assert run(spec, drawn).rendered == 0, "it is made again once"


def test_with_other_words_a_row_keeps_its_seed(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap", "a blue cap")
    run(spec, drawn)
    item = drawn.items[-1]
    assert (item.request.prompt, item.request.seed) == ("a blue cap", 2)
    assert wrongs(spec) == []


def test_what_was_made_again_can_be_rejected_again_and_keeps_its_words(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap", "a blue cap")
    run(spec, drawn)
    again(spec, "cap")
    run(spec, drawn)
    item = drawn.items[-1]
    assert (item.request.prompt, item.request.seed) == ("a blue cap", next_seed(2))
    assert wrongs(spec) == []


def test_who_changes_their_mind_before_the_next_run_keeps_the_picture(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap")
    decide(open_store(spec.out), [Mark("cap", None, "approved")])
    drawn.items.clear()
    assert run(spec, drawn).rendered == 0 and not drawn.items


def test_a_dry_run_tells_what_will_be_made_again(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap")
    told = forecast(spec)
    assert (told.done, told.pending) == (3, 1)


def test_a_job_that_stopped_before_it_made_a_picture_again_goes_on(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    again(spec, "cap")

    def fail(item: Item) -> None:
        raise JobError("The workers are gone.")

    drawn.before = fail
    with pytest.raises(JobError):
        run(spec, drawn)
    assert wrongs(spec) == ["There is no summary.json: the job is not done; render again to go on."]
    drawn.before = lambda item: None
    run(spec, drawn)
    assert rows(spec)["cap"]["seed"] == next_seed(2) and wrongs(spec) == []


def test_a_picture_that_was_made_again_before_a_crash_is_found(tmp_path: Path, drawn: Drawn) -> None:
    spec = written(tmp_path, ROWS, f"{tmp_path}/out")
    run(spec, drawn)
    again(spec, "cap")
    shutil.copytree(tmp_path / "out/results", tmp_path / "results")
    run(spec, drawn)
    shutil.rmtree(tmp_path / "out/results")
    shutil.copytree(tmp_path / "results", tmp_path / "out/results")
    (tmp_path / "out/summary.json").unlink()
    assert run(spec, drawn).rendered == 0
    assert rows(spec)["cap"]["seed"] == next_seed(2) and wrongs(spec) == []


def test_a_row_that_cannot_be_made_again_says_why_and_is_tried_again(
    spec: JobSpec, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(spec, drawn)
    before = rows(spec)["cap"]
    again(spec, "cap")
    with monkeypatch.context() as broken:
        broken.setattr("pressrun.cluster.actors.finisher.Finisher._put", lambda *arguments: None)
        assert run(spec, drawn).failed == 1
    assert rows(spec)["cap"]["error_code"] == "name_taken"
    assert wrongs(spec) == [], "the picture that was decided against stands, and is nobody's"
    run(spec, drawn)
    assert rows(spec)["cap"]["replaced_sha256"] == before["sha256"] and wrongs(spec) == []


def test_a_mark_on_a_picture_that_changed_is_left_out_and_told(spec: JobSpec, drawn: Drawn) -> None:
    run(spec, drawn)
    seen = rows(spec)["cap"]["sha256"]
    again(spec, "cap")
    run(spec, drawn)
    done = decide(open_store(spec.out), [Mark("cap", seen, "approved"), Mark("mug", None, "approved")])
    assert done.stale == ("cap",) and done.approved == 1


def test_marks_on_what_is_not_there_are_all_refused_at_once(spec: JobSpec, drawn: Drawn) -> None:
    run(replace(spec, limit=2), drawn)
    with pytest.raises(JobError) as refused:
        decide(open_store(spec.out), [Mark("mug", None, "approved"), Mark("hat"), Mark("pen"), Mark("cap", prompt=" ")])
    assert len(refused.value.problems) == 3
    assert not read_decisions(open_store(spec.out))


def test_the_next_night_keeps_what_was_made_again_and_what_was_decided(tmp_path: Path, out: str, drawn: Drawn) -> None:
    first = written(tmp_path, ROWS, f"{out}/2026-11-20")
    run(first, drawn)
    again(first, "cap", "a blue cap")
    again(first, "pen")
    decide(open_store(first.out), [Mark("mug", None, "approved")])
    run(first, drawn)
    changed = [{**row, "prompt": "a red pen"} if row["custom_id"] == "pen" else row for row in ROWS]
    second = replace(written(tmp_path, changed, f"{out}/2026-11-21"), since="latest")
    drawn.items.clear()
    summary = run(second, drawn)
    assert (summary.cached, drawn.names) == (3, ["pen"])
    assert drawn.items[0].request.seed == 4, "other words are another wish"
    assert rows(second)["cap"]["sha256"] == rows(first)["cap"]["sha256"]
    decisions = read_decisions(open_store(second.out))
    assert decisions.verdict("mug", rows(second)["mug"]["sha256"]) == "approved"
    assert wrongs(second) == [] and run(second, drawn).rendered == 0


def test_the_agency_gets_what_is_approved_and_nothing_that_was_replaced(
    tmp_path: Path, drawn: Drawn, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path, ROWS, f"{tmp_path}/out")
    run(spec, drawn)
    assert main(["bundle", spec.out, "--by", "agency"]) == 0
    marks = ["decide", spec.out, "--approve", "mug,cap", "--reject", "bag,pen"]
    assert main(marks) == 0
    capsys.readouterr()
    assert main(["bundle", spec.out, "--by", "agency", "--approved"]) == 0
    said = capsys.readouterr().out
    assert "2 pictures not approved" in said and "South.zip is from before" in said
    with zipfile.ZipFile(tmp_path / "out/bundles/North.zip") as zipped:
        assert sorted(zipped.namelist()) == ["cap.png", "mug.png"]


def test_only_what_is_approved_is_published_and_what_is_rejected_goes(tmp_path: Path, drawn: Drawn) -> None:
    spec = written(tmp_path, ROWS, f"{tmp_path}/out")
    run(spec, drawn)
    decide(open_store(spec.out), [Mark("mug", None, "approved"), Mark("cap", None, "approved")])
    publish(stores(), spec.out, f"{tmp_path}/www", approved=True)
    served = {path.name for path in (tmp_path / "www").iterdir()}
    assert served == {"mug.png", "mug@thumb.webp", "cap.png", "cap@thumb.webp"}
    decide(open_store(spec.out), [Mark("cap", None, "rejected"), Mark("mug", None, "rejected", None, True)])
    run(spec, drawn)
    done = publish(stores(), spec.out, f"{tmp_path}/www", approved=True, remove=True)
    served = {path.name for path in (tmp_path / "www").iterdir()}
    assert served == {"mug.png", "mug@thumb.webp"}, "an approved picture is served until another is approved"
    assert done.removed == 2


def test_the_command_takes_a_pages_marks(tmp_path: Path, drawn: Drawn, capsys: pytest.CaptureFixture[str]) -> None:
    spec = written(tmp_path, ROWS, f"{tmp_path}/out")
    run(spec, drawn)
    job = json.loads((tmp_path / "out/job.json").read_text())["fingerprint"]
    mark = {"custom_id": "mug", "sha256": rows(spec)["mug"]["sha256"], "verdict": "rejected", "again": True}
    told = {"pressrun": "marks", "version": 1, "job": job, "marks": [{**mark, "comment": "Too dark.", "prompt": None}]}
    (tmp_path / "marks.json").write_text(json.dumps(told))
    assert main(["decide", spec.out, f"{tmp_path}/marks.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["again"] == 1
    (tmp_path / "marks.json").write_text(json.dumps({**told, "job": "another"}))
    assert main(["decide", spec.out, f"{tmp_path}/marks.json"]) == 2
    assert "has the marks of another job" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"[]", b'{"pressrun": "marks"}', b'{"marks": 3}', b"custom_id,verdict\n"]
)
def test_a_file_that_holds_no_marks_is_refused_in_a_sentence(
    data: bytes, tmp_path: Path, drawn: Drawn, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path, ROWS[:1], f"{tmp_path}/out")
    run(spec, drawn)
    (tmp_path / "marks.json").write_bytes(data)
    assert main(["decide", spec.out, f"{tmp_path}/marks.json"]) == 2
    assert "is no file of marks" in capsys.readouterr().err


def test_decisions_belong_to_the_job_and_other_files_do_not(tmp_path: Path, drawn: Drawn) -> None:
    spec = written(tmp_path, ROWS, f"{tmp_path}/out")
    run(spec, drawn)
    decide(open_store(spec.out), [Mark("mug", None, "approved")])
    (tmp_path / "out/decisions/notes.txt").write_text("ours")
    found = belongings(open_store(spec.out))
    assert [path for path in found.foreign if path.startswith("decisions/")] == ["decisions/notes.txt"]
    assert read_status(open_store(spec.out)).succeeded == 4


def test_a_later_decision_counts_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Decision(ids_after(Decisions())(), "mug", "ab", "approved")
    monkeypatch.setattr("time.time_ns", lambda: 1)
    second = Decision(ids_after(Decisions([first]))(), "mug", "ab", "rejected")
    assert Decisions([second, first]).verdict("mug", "ab") == "rejected"
    assert len(second.id) == 26
