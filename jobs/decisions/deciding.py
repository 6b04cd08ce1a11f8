"""Deciding: marks become decisions on the pictures that a job has now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.jobs.decisions.decision import APPROVED, REJECTED, UNDECIDED, Decision, Decisions
from pressrun.jobs.decisions.decision_folder import ids_after, read_decisions, write_decisions
from pressrun.jobs.decisions.marks import Mark, odd_marks
from pressrun.jobs.folder.job_file import find_job, read_manifest_copy
from pressrun.jobs.folder.result_schema import is_done, read_results
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.request import next_seed


@dataclass(frozen=True)
class Decided:
    """How many pictures were approved and rejected just now, how many of these are to be rendered `again`, of how many
    only the comment is new (`commented`) or nothing (`unchanged`), which verdicts were taken back (`undecided`); and
    the custom_ids of marks on pictures that are there no more (`stale`), which were left out."""

    out: str
    approved: int = 0
    rejected: int = 0
    again: int = 0
    commented: int = 0
    undecided: int = 0
    unchanged: int = 0
    stale: tuple[str, ...] = ()


def decide(store: Store, marks: Sequence[Mark], by: str = "") -> Decided:
    """Write down what was said of the pictures of the job in a store; `by` is who says it. Of several marks on one row
    the later ones add to the earlier ones.

    Raises:
        JobError: a mark is on a row that is not there or has no picture, or is not sound; nothing was written.
        StorageError: the store failed although it was asked again.
    """
    find_job(store)
    decisions = read_decisions(store)
    pictures = _pictures(store, [mark.custom_id for mark in marks])
    _refuse_unknown(store, marks, pictures)
    words, next_id = _words(store, decisions, pictures), ids_after(decisions)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    stale = [m.custom_id for m in marks if m.sha256 is not None and m.sha256 != pictures[m.custom_id]["sha256"]]
    made: dict[str, Decision] = {}
    for mark in marks:
        if mark.custom_id not in stale:
            picture = pictures[mark.custom_id]
            before = made.get(mark.custom_id) or decisions.of(mark.custom_id, picture["sha256"])
            made[mark.custom_id] = _decision(mark, before, picture, words[mark.custom_id], (next_id(), by, now))
    news, counts = [], dict.fromkeys(("approved", "rejected", "again", "commented", "undecided", "unchanged"), 0)
    for one in made.values():
        before = decisions.of(one.custom_id, one.sha256)
        what = _change(one, before)
        counts[what] += 1
        counts["again"] += what != "unchanged" and one.again
        news += [] if what == "unchanged" else [one]
    if news:
        write_decisions(store, news)
    return Decided(store.uri, **counts, stale=tuple(dict.fromkeys(stale)))


def _decision(
    mark: Mark,
    before: Decision | None,
    picture: Mapping[str, Any],
    words: tuple[str, str],
    signed: tuple[str, str, str],
) -> Decision:
    """What a mark makes of the decision before. `words` are the manifest's prompt, and the one that the picture has;
    `signed` are id, who and when."""
    id, by, at = signed
    verdict = (before.verdict if before else UNDECIDED) if mark.verdict is None else mark.verdict
    again = (bool(before and before.again) if mark.again is None else mark.again) and verdict == REJECTED
    seed = prompt = None
    if again:
        own, now = words
        wanted = mark.prompt or (before.prompt if before and before.again and mark.again is None else None) or now
        seed = picture["seed"] if wanted != now else next_seed(picture["seed"])
        prompt = None if wanted == own else wanted
    comment = (before.comment if before else "") if mark.comment is None else mark.comment
    digest, key = picture["sha256"], picture["render_key"] or ""
    return Decision(id, mark.custom_id, digest, verdict, comment, again, seed, prompt, key, by, at)


def _change(now: Decision, before: Decision | None) -> str:
    """What a decision changes, by the name of the field of `Decided` that counts it."""
    if now.says_the_same(before or Decision("", now.custom_id, now.sha256, render_key=now.render_key)):
        return "unchanged"
    if now.verdict == (before.verdict if before else UNDECIDED) and now.again == bool(before and before.again):
        return "commented" if now.comment != (before.comment if before else "") else "rejected"
    return {APPROVED: "approved", REJECTED: "rejected", UNDECIDED: "undecided"}[now.verdict]


def _pictures(store: Store, custom_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Digest, seed and render key of the pictures of some rows."""
    results = read_results(store, ("sha256", "seed", "render_key"))
    done = results.filter(pa.array(is_done(results)))
    some = done.filter(pc.is_in(done["custom_id"], pa.array(custom_ids, pa.string())))
    return {row["custom_id"]: row for row in some.to_pylist()}


def _refuse_unknown(store: Store, marks: Sequence[Mark], pictures: Mapping[str, Any]) -> None:
    problems = odd_marks(list(marks))
    without = [mark.custom_id for mark in marks if mark.custom_id not in pictures]
    if without:
        ids = pa.array(without, pa.string())
        known = pc.is_in(ids, read_manifest_copy(store)["custom_id"].combine_chunks())
        strange, missing = ids.filter(pc.invert(known)).to_pylist(), ids.filter(known).to_pylist()
        if strange:
            problems.append(f"{shortened(store.uri)} has no row {first_of(strange)}.")
        if missing:
            problems.append(f"There is no picture to decide on of {first_of(missing)}.")
    if problems:
        raise JobError(*problems, code="bad_option")


def _words(store: Store, decisions: Decisions, pictures: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The prompt of each picture's row in the manifest, and the one that the picture was made with."""
    manifest = read_manifest_copy(store).select(["custom_id", "prompt"])
    rows = manifest.filter(pc.is_in(manifest["custom_id"], pa.array(list(pictures), pa.string()))).to_pylist()
    made = decisions.rerolls({custom_id: picture["sha256"] for custom_id, picture in pictures.items()})
    own = {row["custom_id"]: row["prompt"] for row in rows}
    return {name: (words, (made[name].prompt if name in made else None) or words) for name, words in own.items()}
