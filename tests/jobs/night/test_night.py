"""A night as a shop has it: what is published, pruned and left, how it ends, and that any end can be gone on from."""

import contextlib
import json
import shutil
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pressrun.cluster.store.lease import Lease
from pressrun.cluster.store.store import Refusal
from pressrun.jobs.audit.verify import verify
from pressrun.jobs.delivery.undo import last_publication, undo
from pressrun.jobs.folder.series import LOCK
from pressrun.jobs.night import night as night_module
from pressrun.jobs.night.history import history
from pressrun.jobs.run.driver import render
from pressrun.jobs.spec.context import Context
from pressrun.pipeline.errors import ClusterError, JobError, StorageError
from tests.jobs.killed import Killed, killing
from tests.jobs.night.shop import FILE, HERE, Shop
from tests.opening import stores

FOUR = {name: f"a {name}" for name in ("mug", "cap", "bag", "lamp")}
THREE = {"mug": "a red mug", "cap": "a cap", "bag": "a bag"}


@pytest.fixture(params=["folder", "s3"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(str(tmp_path) if request.param == "folder" else request.getfixturevalue("s3_bucket"))


@pytest.fixture
def here(tmp_path: Path) -> Shop:
    return Shop(str(tmp_path))


def test_a_night_renders_publishes_compares_and_prunes(shop: Shop) -> None:
    shop.wants(FOUR)
    first = shop.night(20)
    assert (first.exit_code, first.problems, first.difference) == (0, (), None)
    assert sorted(shop.images()) == ["bag.png", "cap.png", "lamp.png", "mug.png"]
    shop.wants(THREE)
    second = shop.night(21)
    summary, published, difference = second.summary, second.published, second.difference
    assert summary and published and difference
    assert (second.exit_code, summary.rendered, summary.cached) == (0, 1, 2)
    assert (published.added, published.replaced, published.removed, published.unchanged) == (0, 1, 1, 2)
    assert (difference.changed, difference.added, difference.removed) == (1, 0, 1)
    assert b"a red" in shop.store.get("nights/2026-11-21/diff.html").replace(b"<ins>red</ins>", b"red")
    assert sorted(shop.images()) == ["bag.png", "cap.png", "mug.png"]
    shop.wants(FOUR)
    third = shop.night(22)
    assert third.pruned and third.pruned.pruned == ("2026-11-20",)
    assert shop.at("nights/2026-11-20").head("job.json") is None
    for day in (21, 22):
        assert verify(shop.at(f"nights/2026-11-{day}")).discrepancies == ()


def test_the_same_night_again_does_nothing_twice(here: Shop) -> None:
    here.wants(FOUR)
    first, again = here.night(20), here.night(20)
    assert again.summary and again.published and first.published
    assert (again.exit_code, again.summary.rendered, again.published.unchanged) == (0, 0, 4)
    assert again.published.undo == first.published.undo
    [figures] = history(here.at("nights"))
    assert (figures.rendered, figures.published, figures.exit_code) == (4, True, 0)


def test_another_manifest_on_the_same_day_is_another_night(here: Shop) -> None:
    here.wants(FOUR)
    here.night(20)
    here.wants(THREE)
    second = here.night(20)
    assert second.summary and (second.night, second.summary.cached) == ("2026-11-20-2", 2)
    assert here.night(20).night == "2026-11-20-2", "which goes on under its own name"
    here.wants(FOUR)
    assert here.night(20).night == "2026-11-20", "and so does the first"


def test_the_date_is_that_of_the_files_timezone(here: Shop) -> None:
    here.rewrite('timezone = "Pacific/Honolulu"\n' + FILE)
    here.wants(FOUR)
    assert here.night(20).night == "2026-11-19"


def test_what_is_ready_is_published_though_rows_failed(here: Shop) -> None:
    here.wants(FOUR)
    here.night(20)
    here.wants(THREE | {"lamp": ""})
    report = here.night(21)
    assert report.published and report.summary
    assert (report.exit_code, report.summary.failed, report.published.not_ready) == (1, 1, 1)
    assert (report.published.replaced, report.published.removed) == (1, 0)
    assert "lamp.png" in here.images(), "what was published of a row that failed stays"


def test_a_night_that_stopped_publishes_what_is_ready_and_withdraws_nothing(shop: Shop) -> None:
    shop.wants(FOUR)
    shop.night(20)
    before = shop.images()
    shop.rewrite(FILE + "[render]\nmax_images = 1\n")
    shop.wants({"mug": "a red mug", "cap": "a red cap"})
    stopped = shop.night(21)
    assert stopped.summary and stopped.published
    assert (stopped.exit_code, stopped.summary.pending) == (3, 1)
    assert (stopped.published.replaced, stopped.published.removed) == (1, 0)
    assert (stopped.difference, stopped.pruned) == (None, None)
    assert len(shop.images()) == len(before) == 4
    done = shop.night(21)
    assert done.published and (done.exit_code, done.published.removed) == (0, 2)
    assert sorted(shop.images()) == ["cap.png", "mug.png"]


@pytest.mark.parametrize(
    ("rule", "rows", "published"),
    [
        pytest.param('when = "ready"', THREE | {"bag": ""}, True, id="ready"),
        pytest.param('when = "finished"', THREE | {"bag": ""}, True, id="finished"),
        pytest.param('when = "complete"', THREE | {"bag": ""}, False, id="complete, and a row failed"),
        pytest.param('when = "complete"', THREE, True, id="complete, and none failed"),
    ],
)
def test_when_a_night_is_published(rule: str, rows: dict[str, str], published: bool, here: Shop) -> None:
    here.rewrite(FILE.replace('to = "images"', f'to = "images"\n{rule}'))
    here.wants(rows)
    report = here.night(20)
    assert (report.published is not None) == published == bool(here.images())
    assert report.exit_code == (1 if "" in rows.values() else 0)
    assert published or any("“when” is complete" in problem for problem in report.problems)


@pytest.mark.parametrize("rule", ["finished", "complete"])
def test_an_unfinished_night_may_be_kept_from_the_shop(rule: str, here: Shop) -> None:
    file = FILE.replace('to = "images"', f'to = "images"\nwhen = "{rule}"')
    here.rewrite(file + "[render]\nmax_images = 1\n")
    here.wants(THREE)
    assert (here.night(20).exit_code, here.images()) == (3, {})


def test_a_night_that_goes_wrong_as_a_whole_publishes_nothing(here: Shop) -> None:
    here.wants(FOUR)
    here.night(20)
    before = here.images()
    here.rewrite(FILE + '[render]\nmax_failures = "25%"\n')
    here.wants({"mug": "a red mug", "cap": "", "bag": "", "lamp": "a lamp"})
    report = here.night(21)
    assert (report.exit_code, report.published, here.images()) == (3, None, before)
    assert "“max_failures”" in "\n".join(report.problems) and "Nothing is published" in "\n".join(report.problems)


def test_a_manifest_that_was_cut_off_withdraws_nothing(here: Shop) -> None:
    here.wants(FOUR)
    here.night(20)
    here.wants({"mug": "a red mug"})
    report = here.night(21, named=lambda sentence: sentence.replace("`remove`", "--remove"))
    assert report.published and (report.exit_code, report.published.removed, report.published.replaced) == (1, 0, 1)
    assert len(here.images()) == 4
    [problem] = report.problems
    assert problem.startswith("3 of 4 published pictures are not in the manifest") and "--remove" in problem
    here.rewrite(FILE.replace("remove = true", 'remove = true\nmax_removed = "80%"'))
    assert here.night(21).exit_code == 0 and len(here.images()) == 1


def test_an_interrupted_night_publishes_nothing_more_and_goes_on(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(spec: Any, events: Any, **more: Any) -> Any:
        stop = Event()
        stop.set()
        return render(spec, events, stop, **more)

    here.wants(FOUR)
    with monkeypatch.context() as patch:
        patch.setattr(night_module, "render", interrupted)
        report = here.night(20)
    assert report.summary and (report.exit_code, report.summary.ending, report.published) == (3, "interrupted", None)
    assert here.night(20).exit_code == 0 and len(here.images()) == 4


@pytest.mark.parametrize("error", [StorageError("The store is away."), ClusterError("The cluster is away.")])
def test_what_a_lost_run_has_left_is_published(error: Exception, here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(spec: Any, events: Any, **more: Any) -> Any:
        render(spec, events, **more)
        raise error

    here.rewrite(FILE + "[render]\nmax_images = 3\n")
    here.wants(FOUR)
    monkeypatch.setattr(night_module, "render", lost)
    report = here.night(20)
    assert report.published and (report.exit_code, report.published.added) == (3, 3)
    assert str(error) in report.problems


def test_a_run_that_was_lost_in_another_process_is_gone_on_from(here: Shop) -> None:
    here.rewrite(FILE + "[render]\nmax_images = 3\n")
    here.wants(FOUR)
    here.night(20)
    report = here.night(20, lost="The cluster was lost.")
    assert report.summary and (report.exit_code, report.summary.pending, len(here.images())) == (3, 1, 3)
    assert "The cluster was lost." in report.problems
    assert here.night(21, lost="The cluster was lost.").exit_code == 3, "also where it had not begun"


def test_a_refused_night_does_nothing_and_everybody_is_told(here: Shop) -> None:
    here.rewrite(FILE + '[report]\nfile = "{night}.txt"\n[hooks]\non_finish = "cat > told.json"\n')
    here.rewrite(here.store.get("night.toml").decode().replace("cat > told.json", f"cat > {here.base}/told.json"))
    with pytest.raises(JobError) as refused:
        here.night(20)
    assert refused.value.codes == ["missing_manifest"] and here.at("nights/2026-11-20").head("job.json") is None
    text = here.store.get("2026-11-20.txt").decode()
    assert text.startswith("Pressrun night 2026-11-20: refused, nothing was done\n") and str(refused.value) in text
    told = json.loads(here.store.get("told.json"))
    assert (told["exit_code"], told["state"], told["problems"]) == (2, "refused", list(refused.value.problems))


def test_a_store_that_says_no_refuses_the_night(here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any, **__: Any) -> Any:
        raise Refusal("The store says no.")

    here.wants(FOUR)
    monkeypatch.setattr(night_module, "render", refusing)
    with pytest.raises(JobError, match="says no") as refused:
        here.night(20)
    assert refused.value.codes == ["storage_refused"]


def test_a_command_gets_the_manifest_ready_and_its_failure_refuses_the_night(here: Shop) -> None:
    here.wants(FOUR)
    here.at(".").put("export.parquet", here.store.get("tonight.parquet"))
    here.store.delete("tonight.parquet")
    here.rewrite(FILE + f'[hooks]\nbefore = "cp {here.base}/export.parquet {here.base}/tonight.parquet"\n')
    assert here.night(20).exit_code == 0
    here.rewrite(FILE + '[hooks]\nbefore = "exit 7"\n')
    with pytest.raises(JobError, match="ended with 7") as refused:
        here.night(21)
    assert refused.value.codes == ["hook_failed"] and here.at("nights/2026-11-21").head("job.json") is None


def test_a_place_that_cannot_be_published_to_stops_the_night_after_it_was_rendered(here: Shop) -> None:
    here.rewrite(FILE.replace('to = "images"', 'to = "nights/2026-11-20/images"'))
    here.wants(FOUR)
    report = here.night(20)
    assert report.summary and (report.exit_code, report.summary.succeeded, report.pruned) == (3, 4, None)
    assert "is the folder of a job" in report.problems[-1]


def test_another_night_that_is_rendered_keeps_old_ones_from_being_pruned_and_no_more(here: Shop) -> None:
    here.wants(FOUR)
    render(here.file.spec("2026-11-19"), context=Context.of_this_process(), executor=HERE)
    report = here.night(20)
    assert report.exit_code == 0
    with Lease(here.at("nights"), LOCK, f"A night is rendered into {here.base}/nights/2026-11-20", shared=True):
        again = here.night(20)
    assert (again.exit_code, again.pruned) == (0, None) and "Pruning was not done" in again.problems[0]


def test_pictures_that_the_night_has_lost_are_told(here: Shop) -> None:
    here.wants(FOUR)
    here.night(20)
    here.store.delete("nights/2026-11-20/images/mug.png")
    here.at("images").put("mug.png", b"vandalised")
    with pytest.MonkeyPatch.context() as patch:  # whose rendering would put it back
        patch.setattr(night_module, "render", lambda *_, **__: here.summary("2026-11-20"))
        report = here.night(20)
    assert (report.exit_code, here.images()["mug.png"]) == (1, b"vandalised")
    assert report.problems == ("1 picture cannot be found any more; run the night again: mug.png.",)


@pytest.mark.parametrize("phase", ["render", "publish", "diff", "prune", "tell_everybody"])
def test_a_night_that_is_killed_in_any_phase_goes_on(phase: str, here: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    here.wants(FOUR)
    here.night(20)
    here.wants(THREE)
    with monkeypatch.context() as patch:
        module = "pressrun.jobs.night.publication_rule" if phase == "publish" else "pressrun.jobs.night.night"
        patch.setattr(f"{module}.{phase}", killed)
        with pytest.raises(Killed):
            here.night(21)
    report = here.night(21)
    assert (report.exit_code, sorted(here.images())) == (0, ["bag.png", "cap.png", "mug.png"])
    undo(stores(), last_publication(stores(), f"{here.base}/images"))
    assert len(here.images()) == 4


def test_a_night_that_is_killed_at_a_write_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(str(tmp_path / "shop"), FILE.replace("keep = 2", "keep = 1"))
    shop.wants(FOUR)
    shop.night(20)
    shop.wants(THREE)
    shutil.copytree(shop.base, tmp_path / "before")
    kill_at = killing(monkeypatch)
    for name, seconds in (("ttl_sec", 0.2), ("beat_sec", 0.05)):  # what a killed process held is held for so long
        monkeypatch.setitem(Lease.__init__.__kwdefaults__, name, seconds)
    ends = set()
    for number in range(0, 400, 11):
        shutil.rmtree(shop.base)
        shutil.copytree(tmp_path / "before", shop.base)
        kill_at(number)
        whole = False
        with contextlib.suppress(Killed):
            whole = shop.night(21).exit_code == 0
        kill_at(-1)
        report = shop.night(21)
        ends.add((report.exit_code, *(f"{name}: {sha256(data).hexdigest()}" for name, data in shop.images().items())))
        assert verify(shop.at("nights/2026-11-21")).discrepancies == ()
        assert [*shop.at("nights/2026-11-20").paths()] == []
        if whole:
            break
    assert whole and len(ends) == 1, "every end comes to the same"


def test_the_last_publication_is_undone_by_the_name_of_the_place(here: Shop) -> None:
    place = f"{here.base}/images"
    with pytest.raises(JobError, match="nothing was published there") as refused:
        last_publication(stores(), place)
    assert refused.value.codes == ["no_job"]
    here.wants(FOUR)
    here.night(20)
    before = here.images()
    here.wants(THREE)
    here.night(21)
    undo(stores(), last_publication(stores(), place))
    assert here.images() == before
    undo(stores(), last_publication(stores(), place))
    assert here.images() == {}
    with pytest.raises(JobError, match="no publication left"):
        last_publication(stores(), place)
