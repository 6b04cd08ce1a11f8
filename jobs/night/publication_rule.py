"""What of a night is published: what is ready, unless the shop wants it otherwise, and never less than before on the
strength of a run that did not finish."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from pressrun.cluster.store.opening import Stores
from pressrun.jobs.delivery.publishing import Published, publish
from pressrun.jobs.results.summary import Summary
from pressrun.jobs.run.ending import EndCode
from pressrun.jobs.text.wording import several

READY, FINISHED, COMPLETE = "ready", "finished", "complete"
WHEN = (READY, FINISHED, COMPLETE)
"""Publish whatever is ready; only a night whose rows were all tried; only one whose rows all have their picture."""

_SHARE = re.compile(r"(\d{1,3}(?:\.\d+)?)%")


@dataclass(frozen=True)
class PublicationRule:
    """Where pictures are published `to`, and when. `max_removed` is how many of the published pictures one night may
    withdraw, a number or a share such as "50%": a manifest that was cut off would withdraw most. `address` is where the
    place is served, "" if that is not known."""

    to: str
    records: str | None = None
    remove: bool = False
    approved: bool = False
    when: str = READY
    max_removed: int | str = "50%"
    address: str = ""

    def refusal(self, summary: Summary) -> str:
        """Why nothing of the night is published, in a sentence; "" if it is."""
        ready = summary.succeeded + summary.cached
        if summary.ending == EndCode.BUDGET:
            return "Nothing is published: more rows failed than “max_failures” allows."
        if summary.ending == EndCode.INTERRUPTED:
            return "Nothing is published yet: the night was interrupted."
        if self.when != READY and summary.stopped:
            return f"Nothing is published yet: the night is not finished, and “when” is {self.when}."
        if self.when == COMPLETE and ready < summary.rows:
            missing = several(summary.rows - ready, "row")
            return f"Nothing is published: {missing} without a picture, and “when” is {self.when}."
        return "" if ready else "Nothing is published: no picture is ready."

    def publish(
        self, stores: Stores, job: str, finished: bool, note: Callable[[str], None], dry_run: bool = False
    ) -> Published:
        """Publish what is ready of a job; `note` is told why pictures are not withdrawn that could be.

        Raises as `jobs.delivery.publishing.publish` does.
        """
        remove = self.remove and finished
        if remove:
            plan = self._publish(stores, job, True, True)
            there = plan.removed + plan.replaced + plan.unchanged
            if plan.removed > self._most(there):
                remove = False
                note(
                    f"{plan.removed:,} of {several(there, 'published picture')} are not in the manifest, more than "
                    f"“max_removed” {self.max_removed} allows: none is withdrawn. If that is meant: "
                    f"pressrun publish {job} `to` {self.to} `remove`"
                )
        return self._publish(stores, job, remove, dry_run)

    def _publish(self, stores: Stores, job: str, remove: bool, dry_run: bool) -> Published:
        return publish(
            stores, job, self.to, records=self.records, remove=remove, approved=self.approved, dry_run=dry_run
        )

    def _most(self, there: int) -> float:
        share = _SHARE.fullmatch(str(self.max_removed))
        return there * float(share[1]) / 100 if share else int(self.max_removed)


def is_amount(value: object) -> bool:
    """Whether a value is a number or a share, as `max_removed` is."""
    if isinstance(value, str):
        share = _SHARE.fullmatch(value)
        return share is not None and float(share[1]) <= 100
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
