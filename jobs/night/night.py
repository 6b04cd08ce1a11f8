"""A night: from tonight's manifest to what a shop serves, in the order in which it happens.

    from pressrun.jobs.night.night import run_night
    report = run_night(read_night_file(context.stores, "night.toml"), context)

Each phase can be done again: whatever ends a night, the same call goes on, and does nothing twice.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pressrun.cluster.store.store import Refusal
from pressrun.jobs.delivery.hook import run_hook
from pressrun.jobs.delivery.publishing import Published
from pressrun.jobs.delivery.retention import prune
from pressrun.jobs.folder.job_file import DIFF
from pressrun.jobs.night.night_file import NightFile
from pressrun.jobs.night.night_log import note_go
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.night.telling import tell_everybody
from pressrun.jobs.night.tonight import night_before, tonights_name
from pressrun.jobs.night.webhook import keys_of
from pressrun.jobs.reports.diff import diff
from pressrun.jobs.reports.diff_sheet import write_diff_sheet
from pressrun.jobs.results.status import read_status
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.driver import render
from pressrun.jobs.run.ending import EndCode
from pressrun.jobs.run.executor import Executor
from pressrun.jobs.spec.context import Context
from pressrun.jobs.spec.progress import Progress, Silent
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import ClusterError, JobError, Reason, StorageError

_LEFT, _REFUSED, _STOPPED = 1, 2, 3


def run_night(
    file: NightFile,
    context: Context,
    *,
    name: str | None = None,
    started: datetime | None = None,
    events: Progress | None = None,
    executor: Executor | None = None,
    lost: str = "",
    named: Callable[[str], str] = str,
) -> NightReport:
    """Do what a night's file asks for, or go on with it, tell everybody, and report.

    `name` is the night's, by default the date of `started`. `lost` says that the render was lost with its cluster in
    another process, and why: what it left is published. `named` gives sentences in the words of whoever asks.

    Raises:
        JobError: the night is refused; nothing was rendered. Everybody has been told.
    """
    night = _Night(file, context, started or datetime.now(UTC), named)
    try:
        night.begin(name, run_before=not lost)
        night.render(events or Silent(), executor, lost)
        night.publish()
        night.compare()
        night.prune()
    except (JobError, Refusal) as error:
        reasons = error.problems if isinstance(error, JobError) else (Reason(str(error), error.code),)
        refused = JobError(*(Reason(named(reason), reason.code) for reason in reasons))
        night.tell(refused)
        raise refused from None
    except (StorageError, ClusterError) as error:
        night.stop(str(error))
    except KeyboardInterrupt:
        night.stop("Interrupted.", interrupted=True)
    except Exception as error:  # a bug of ours: whoever waits for the night's end is told, as of any other end
        night.stop(f"An error in Pressrun ended it: {type(error).__name__}.")
        night.tell()
        raise
    return night.tell()


class _Night:
    """One go at a night; `report` is what is known of it so far."""

    def __init__(self, file: NightFile, context: Context, started: datetime, named: Callable[[str], str]) -> None:
        self._file, self._context, self._named = file, context, named
        self._seconds: dict[str, float] = {}
        self._interrupted, self._key = False, secrets.token_hex(8)
        day = f"{file.local(started):%Y-%m-%d}"
        self.report = NightReport(day, f"{file.nights}/{day}", started, started, 0, self._seconds)

    def begin(self, name: str | None, run_before: bool) -> None:
        """Find what would refuse the night at its end, have the shop get ready, and give tonight its name.

        Raises:
            JobError: a place, the name or the webhook's secret is none, or the shop's command failed.
        """
        file, stores = self._file, self._context.stores
        for place in (file.nights, file.public, file.publication.to if file.publication else ""):
            if place:
                stores.open(place)
        if file.webhook:
            keys_of(self._context.webhook_secret)
        if file.before and run_before:
            with self._phase("before"):
                if problem := run_hook(file.before, {"night": self.report.night, "manifest": file.manifest}):
                    raise JobError(f"“before”: {problem} Nothing was rendered.", code="hook_failed")
        night = tonights_name(file, self._context, self.report.started, name)
        self.report = replace(self.report, night=night, job=stores.open(f"{file.nights}/{night}").uri)

    def render(self, events: Progress, executor: Executor | None, lost: str) -> None:
        """Render what changed. A run that its store or cluster left leaves what is ready by then."""
        spec = replace(self._file.spec(self.report.night), out=self.report.job)
        with self._phase("render"):
            try:
                if lost:
                    raise ClusterError(lost)
                summary = render(spec, events, context=self._context, executor=executor)
            except Refusal:
                raise
            except (StorageError, ClusterError) as error:
                summary = self._as_it_stands(str(error), error)
        told = tuple(map(self._named, summary.unmade))
        stopped = summary.stopped and self._named(summary.stopped)
        self._know(summary=replace(summary, stopped=stopped, unmade=told))
        for sentence in told:
            self._leave(sentence, code=0)
        if summary.exit_code == _LEFT:
            self._leave()
        if stopped:
            self.stop(stopped, interrupted=summary.ending == EndCode.INTERRUPTED)
        self._note()

    def _as_it_stands(self, why: str, error: Exception) -> Summary:
        """What a run that was lost has left. Raises `error` where it left no job."""
        try:
            status = read_status(self._context.stores.open(self.report.job))
        except JobError:
            raise error from None
        names = ("rows", "succeeded", "cached", "failed", "rejected", "pending", "flagged", "causes", "changes")
        known = {name: getattr(status, name) for name in names}
        return Summary(status.out, status.model, **known, stopped=why, ending=EndCode.WORKERS.value)

    def publish(self) -> None:
        """Publish what the rule allows; nothing is withdrawn unless the night is finished."""
        rule, summary = self._file.publication, self.report.summary
        if rule is None or summary is None:
            return
        if problem := rule.refusal(summary):
            self._leave(problem)
            return
        with self._phase("publish"):
            try:
                finished = not summary.stopped
                done = rule.publish(self._context.stores, self.report.job, finished, self._leave)
            except JobError as error:
                self.stop(*error.problems)
                return
        self._know(published=done)
        self._tell_of(done)
        self._note()

    def _tell_of(self, done: Published) -> None:
        """What of a publication a person has to look at."""
        for warning in done.warnings:
            self._leave(warning, code=0)
        for names, what in (
            (done.missing, "cannot be found any more; run the night again"),
            (done.damaged, "with other bytes than were written: not published; see pressrun verify"),
            (done.left, "changed by somebody else, or behind a link: left alone"),
        ):
            if names:
                self._leave(f"{several(len(names), 'picture')} {what}: {first_of(names)}.")

    def compare(self) -> None:
        """Make the page of what differs from the night before, if the night is finished and there is one before it."""
        if not self._file.diff_page or not self._is_finished:
            return
        with self._phase("diff"), self._leaving("The difference was not made"):
            stores = self._context.stores
            if before := night_before(stores, self.report.job):
                found = diff(stores, before, self.report.job)
                page = f"{self.report.job}/{DIFF}"
                html = write_diff_sheet(found, page)
                stores.open(self.report.job).put(DIFF, html, "text/html; charset=utf-8")
                self._know(difference=found, page=page)

    def prune(self) -> None:
        """Let old nights go, if this one is finished."""
        keep = self._file.keep
        if keep is None or not self._is_finished:
            return
        with self._phase("prune"), self._leaving("Pruning was not done"):
            pruned = prune(self._context.stores, self._file.nights, keep)
            self._know(pruned=pruned)
            if pruned.left:
                many = several(len(pruned.left), "file")
                self._leave(f"{many} in pruned nights are not Pressrun's, and stay: {first_of(pruned.left)}.", code=0)
            if pruned.busy:
                self._leave(f"Nights that are being rendered stay: {first_of(pruned.busy)}.", code=0)

    def tell(self, refused: JobError | None = None) -> NightReport:
        """Tell everybody that the night has ended, and how; what could not be told is among the report's problems."""
        self._know(ended=datetime.now(UTC))
        if refused:
            self._know(exit_code=_REFUSED, problems=(*self.report.problems, *refused.problems))
        else:
            self._note()
        untold = tell_everybody(self._file, self._context, self.report, self._named, self._interrupted)
        self._know(problems=(*self.report.problems, *untold))
        return self.report

    def stop(self, *sentences: str, interrupted: bool = False) -> None:
        """The night ends here, and the same command goes on."""
        self._interrupted = self._interrupted or interrupted
        self._leave(*sentences, code=_STOPPED)

    @property
    def _is_finished(self) -> bool:
        """Whether every row has an outcome, and what is ready is published if it is to be."""
        return self.report.summary is not None and self.report.exit_code != _STOPPED

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = time.monotonic() - began

    @contextlib.contextmanager
    def _leaving(self, what: str) -> Iterator[None]:
        """What fails here is left undone, and told; the night goes on."""
        try:
            yield
        except (JobError, StorageError) as error:
            self._leave(f"{what}: {error}", code=0 if error.code == "locked" else _LEFT)

    def _leave(self, *sentences: str, code: int = _LEFT) -> None:
        """Note what is not as it was asked for, and how much that matters."""
        problems = (*self.report.problems, *map(self._named, sentences))
        self._know(problems=tuple(dict.fromkeys(problems)), exit_code=max(code, self.report.exit_code))

    def _know(self, **more: Any) -> None:
        self.report = replace(self.report, **more)

    def _note(self) -> None:
        """Write down in the night's folder what is known by now."""
        self._know(ended=datetime.now(UTC))
        with contextlib.suppress(StorageError, JobError):  # it is told in other ways
            note_go(self._context.stores.open(self.report.job), self._key, self.report.to_dict())
