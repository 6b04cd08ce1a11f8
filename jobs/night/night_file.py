"""A night's file: what is rendered, published, pruned and told every night, in TOML, checked whole.

manifest = "s3://shop/manifests/tonight/"    # relative paths are meant from the file's folder
nights = "s3://shop/nights"                  # tonight goes into s3://shop/nights/2026-11-30
timezone = "Europe/Berlin"                   # whose date tonight has; without it the machine's

[render]                                     # any option of `pressrun render` by its name in JobSpec
finish = "finish.toml"
max_minutes = 300

[publish]
to = "s3://shop/images"
address = "https://img.example.com/"         # where that is served
remove = true                                # withdraw what the manifest has no more, after a finished night
max_removed = "50%"                          # but not more than that in one night
approved = false                             # true: only what people have approved
when = "ready"                               # or "finished", "complete"
records = "s3://shop/records"                # where the place's records lie; without it beside the nights

[diff]
page = true                                  # NIGHT/diff.html, against the night before

[prune]
keep = 14

[report]
file = "/var/log/pressrun/{night}.txt"       # to be mailed: its first line is the subject
metrics = "/var/lib/prometheus/node-exporter/pressrun.prom"
public = "s3://shop-status/pressrun"         # images.csv, history.json, index.html, diff.html

[hooks]                                      # shell commands; a file in a bucket may have none
before = "export-manifest"
on_finish = "tell-somebody"                  # the report as JSON on its standard input

[webhook]
url = "https://example.com/hooks/pressrun"   # signed with PRESSRUN_WEBHOOK_SECRET
allow_hosts = []                             # hosts that may be private, or speak plain http
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pressrun.cluster.net.fetch_rules import web_rules
from pressrun.cluster.net.url import Url
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import SCHEME, local_path, resolve_uri
from pressrun.jobs.folder.series import LATEST
from pressrun.jobs.night.publication_rule import READY, WHEN, PublicationRule, is_amount
from pressrun.jobs.night.webhook import Webhook
from pressrun.jobs.night.words import OURS, in_quotes
from pressrun.jobs.spec.job_spec import JobSpec
from pressrun.jobs.spec.option_types import odd_options
from pressrun.pipeline.errors import JobError, RequestError
from pressrun.pipeline.strict_table import StrictTable

NIGHT = "{night}"
"""In the name of a report's file: the night's."""

_MOST_NIGHTS = 10_000


@dataclass(frozen=True)
class NightFile:
    """What a shop wants every night; places are absolute, "" or None is what is not wanted."""

    uri: str
    manifest: str
    nights: str
    timezone: str = ""
    render: Mapping[str, Any] = field(default_factory=dict)
    publication: PublicationRule | None = None
    diff_page: bool = False
    keep: int | None = None
    report: str = ""
    metrics: str = ""
    public: str = ""
    before: str = ""
    on_finish: str = ""
    webhook: Webhook | None = None

    def spec(self, name: str) -> JobSpec:
        """The job of the night called `name`."""
        return JobSpec(self.manifest, f"{self.nights}/{name}", since=LATEST, **self.render)

    def local(self, moment: datetime) -> datetime:
        """A moment by the file's clock."""
        return moment.astimezone(ZoneInfo(self.timezone) if self.timezone else None)


def read_night_file(stores: Stores, uri: str) -> NightFile:
    """Read and check a night's file at a path or in `s3://`.

    Raises:
        JobError: everything that is wrong with it.
        StorageError: the bucket does not answer.
    """
    try:
        values = tomllib.loads(stores.read(uri).decode())
    except (OSError, RequestError) as error:
        raise JobError(f"{uri} cannot be read: {error}", code="bad_night_file") from None
    except UnicodeDecodeError:
        raise JobError(f"{uri} is not UTF-8.", code="bad_night_file") from None
    except tomllib.TOMLDecodeError as error:
        raise JobError(f"{uri} is no TOML: {error}.", code="bad_night_file") from None
    problems: list[str] = []
    found = _Reader(uri, values, problems).read()
    if problems:
        raise JobError(*problems, code="bad_night_file")
    return found


class _Reader:
    """Reads one file; nothing of it raises."""

    def __init__(self, uri: str, values: dict[str, Any], problems: list[str]) -> None:
        self._uri, self._top = uri, StrictTable(values, uri.rpartition("/")[2], problems)
        self._in_bucket = uri.lower().startswith("s3://")
        self._base = uri.rpartition("/")[0] if self._in_bucket else str(Path(local_path(uri)).parent)

    def read(self) -> NightFile:
        top = self._top
        asked: dict[str, Any] = {
            "manifest": self._place(top, "manifest", required=True),
            "nights": self._place(top, "nights", required=True).rstrip("/"),
            "timezone": self._timezone(),
            "render": self._render(top.table("render")),
            "publication": self._publication(top.table("publish")) if top.has("publish") else None,
        }
        top.knows("publish")
        diff, prune, report = (top.table(name) for name in ("diff", "prune", "report"))
        asked |= {"diff_page": diff.truth("page"), "keep": prune.whole("keep", 1, _MOST_NIGHTS)}
        asked |= {"report": self._place(report, "file"), "public": self._place(report, "public").rstrip("/")}
        asked |= {"metrics": self._place(report, "metrics")}
        if asked["metrics"].lower().startswith("s3://"):
            report.note("“metrics” is in a bucket; give a file in node_exporter's folder on this machine.")
        rule, public = asked["publication"], f"{asked['public']}/"
        for place in (f"{asked['nights']}/", f"{rule.to if rule else ''}/"):
            if min(len(public), len(place)) > 1 and (public.startswith(place) or place.startswith(public)):
                report.note(f"“public” is in {place}, or around it: give a place of its own.")
        hooks = top.table("hooks")
        asked |= {name: hooks.text(name) for name in ("before", "on_finish")}
        if self._in_bucket and (asked["before"] or asked["on_finish"]):
            hooks.note("a file in a bucket may have no commands: whoever can write there would run them here.")
        if top.has("webhook"):
            asked["webhook"] = self._webhook(top.table("webhook"))
        top.knows("webhook")
        for table in (diff, prune, report, hooks, top):
            table.end()
        return NightFile(self._uri, **asked)

    def _timezone(self) -> str:
        name = self._top.text("timezone")
        try:
            if name:
                ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            self._top.note(f"“timezone” {name} is not known here; write it as Europe/Berlin.")
            return ""
        return name

    def _render(self, table: StrictTable) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for option in fields(JobSpec):
            if option.name in OURS:
                if table.has(option.name):
                    table.note(f"“{option.name}” is the night's own: leave it out here.")
                    table.knows(option.name)
            elif table.has(option.name):
                values[option.name] = table.anything(option.name, lambda _: True, "")
            else:
                table.knows(option.name)
        table.end()
        odd = odd_options(JobSpec("", "", **values))
        for sentence in odd.values():
            table.note(in_quotes(sentence))
        for name in ("finish", "keep_pixels", "model"):
            value = values.get(name)
            if name not in odd and value and (name != "model" or "/" in value):
                values[name] = self._meant(table, name, value)
        return values

    def _publication(self, table: StrictTable) -> PublicationRule:
        rule = PublicationRule(
            to=self._place(table, "to", required=True),
            records=self._place(table, "records") or None,
            remove=table.truth("remove"),
            approved=table.truth("approved"),
            when=table.text("when", READY, choices=WHEN),
            max_removed=table.anything("max_removed", is_amount, "a number, or a share such as 50%") or "50%",
            address=table.text("address"),
        )
        if table.has("max_removed") and not rule.remove:
            table.note("“max_removed” wants “remove” = true: without it nothing is withdrawn.")
        if rule.address and not re.match("https?://", rule.address):
            table.note(f"“address” is {rule.address!r:.60}; give the https:// address of what is published.")
        table.end()
        return rule

    def _webhook(self, table: StrictTable) -> Webhook | None:
        url, hosts = table.text("url", required=True), table.texts("allow_hosts")
        table.end()
        try:
            webhook = Webhook(url, web_rules(hosts))
            there = Url.parse(url) if url else None
        except JobError as error:
            for problem in error.problems:
                table.note(in_quotes(problem))
            return None
        except ValueError as error:
            table.note(f"“url” {error}.")
            return None
        if there and there.scheme == "http" and not webhook.rules.allow(there):
            table.note("“url” is not encrypted: write https://, or name its host in “allow_hosts”.")
        return webhook

    def _place(self, table: StrictTable, name: str, required: bool = False) -> str:
        value = table.text(name, required=required)
        return self._meant(table, name, value) if value else ""

    def _meant(self, table: StrictTable, name: str, value: str) -> str:
        """The place that a path or URI in the file means; `value` itself where it means none, which is noted."""
        scheme = SCHEME.match(value)
        if scheme and scheme[1].lower() == "s3":
            return value
        if self._in_bucket and (scheme or value.startswith(("/", "~"))):
            table.note(f"“{name}” names a file of this machine, which a night's file in a bucket may not.")
        elif scheme and scheme[1].lower() != "file":
            table.note(f"“{name}” is {value!r:.60}; give a path or s3://bucket/….")
        else:
            try:
                beside = value if scheme or value.startswith(("/", "~")) else f"{self._base}/{value}"
                return resolve_uri(value, self._base) if self._in_bucket else local_path(beside)
            except (JobError, RequestError) as error:
                table.note(f"“{name}”: {error}")
        return value
