"""Plain files that anybody may read: where the pictures are, how the nights went, what changed last.

They hold names, numbers and addresses of what is published: no prompt, no place where nights lie, no sentence of an
error, and no picture that is not served already.
"""

import html
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.store import Store
from pressrun.jobs.night.history import NightFigures, history
from pressrun.jobs.night.image_addresses import image_addresses
from pressrun.jobs.night.night_file import NightFile
from pressrun.jobs.night.report import NightReport
from pressrun.jobs.reports.diff import Difference, rows_of
from pressrun.jobs.spec.progress import duration

INDEX, IMAGES, HISTORY, CHANGES = "index.html", "images.csv", "history.json", "diff.html"
FILES = (INDEX, IMAGES, HISTORY, CHANGES)
_MARK = b'<meta name="generator" content="pressrun night">'
"""Tells our pages from a website's own, which is never replaced."""

_SHOWN = 500
"""Pictures that the page of what changed shows."""
_NIGHTS = 400
_OURS = ("job", "problem")
"""Of a night's figures: places and sentences, which are the shop's own."""

_SERVED = ("custom_id", "name", "address")
_NONE = "<span>no picture here</span>"
_RUNS = r"^([=+\-@\t\r\n])"
"""What a spreadsheet takes for the beginning of a formula."""
_HTML = "text/html; charset=utf-8"


def write_public(stores: Stores, file: NightFile, report: NightReport) -> str:
    """Write the files at the file's `public` place; a sentence where something of somebody else's stands there.

    Raises:
        JobError: the place cannot be used.
        StorageError: a store does not answer.
    """
    store = stores.open(file.public)
    store.prepare()
    try:
        if foreign := _foreign(store):
            return f"{store.uri}/{foreign} is not of a night: nothing is written there. Name a “public” of its own."
        images = None
        if file.publication:
            images = image_addresses(stores, file.publication, report.job, f"{store.uri}/{IMAGES}")
            store.put(IMAGES, _csv(images), "text/csv; charset=utf-8")
        if report.difference:
            store.put(CHANGES, _changes_page(report, report.difference, images), _HTML)
        nights = history(stores.open(file.nights))[:_NIGHTS]
        store.put(HISTORY, _history(report.ended, nights), "application/json")
        store.put(INDEX, _index(file, report, nights, store.head(CHANGES) is not None, images), _HTML)
        return ""
    finally:
        store.sweep([])


def _foreign(store: Store) -> str:
    """A file that would be replaced and is not ours; "" if there is none."""
    try:
        return "" if _MARK in store.get(INDEX) else INDEX
    except FileNotFoundError:
        return next((name for name in FILES if store.head(name) is not None), "")


def _csv(images: pa.Table) -> bytes:
    file = io.BytesIO()
    ids = pc.replace_substring_regex(images["custom_id"], _RUNS, r"'\1")
    pyarrow.csv.write_csv(images.set_column(0, "custom_id", ids), file)
    return file.getvalue()


def _history(ended: datetime, nights: Sequence[NightFigures]) -> bytes:
    """The nights without the places where they lie, and without sentences."""
    told = [{name: value for name, value in asdict(night).items() if name not in _OURS} for night in nights]
    data = {"updated": ended.isoformat(timespec="seconds"), "nights": told}
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode(errors="replace")


def _index(
    file: NightFile, report: NightReport, nights: Sequence[NightFigures], changes: bool, images: pa.Table | None
) -> bytes:
    links = [f'<a href="{CHANGES}">What changed last</a>'] if changes else []
    links += [f'<a href="{IMAGES}">All addresses ({images.num_rows:,}), CSV</a>'] if images is not None else []
    links.append(f'<a href="{HISTORY}">These figures, JSON</a>')
    ended = file.local(report.ended)
    parts = {
        "title": "Nights",
        "about": f"{html.escape(report.night)}: {report.state}, {ended:%Y-%m-%d %H:%M} {html.escape(f'{ended:%Z}')}",
        "figures": "".join(_figure(name, value) for name, value in _tonights(report)),
        "main": f"<p>{' · '.join(links)}</p>{_table(nights)}",
    }
    return _page(parts)


def _tonights(report: NightReport) -> Iterator[tuple[str, int]]:
    rows = report.rows
    if rows:
        yield "pictures ready", rows["succeeded"] + rows["cached"]
        yield "rendered", report.summary.rendered if report.summary else 0
        yield "without a picture", rows["failed"] + rows["rejected"] + rows["pending"]
    if report.published:
        yield "added", report.published.added
        yield "replaced", report.published.replaced
        yield "withdrawn", report.published.removed


def _figure(name: str, value: int) -> str:
    return f"<div><dt>{name}</dt><dd>{value:,}</dd></div>"


def _table(nights: Sequence[NightFigures]) -> str:
    heads = ("Night", "State", "Rows", "Ready", "Rendered", "Kept", "Failed", "Rejected", "Published", "Rendering took")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_night, nights))}</tbody></table>"


def _night(night: NightFigures) -> str:
    ready = night.succeeded + night.cached
    numbers = (night.rows, ready, night.rendered, night.cached, night.failed, night.rejected)
    cells = [html.escape(night.night), night.state, *(f"{number:,}" for number in numbers)]
    cells += ["yes" if night.published else "–", duration(night.seconds)]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _changes_page(report: NightReport, difference: Difference, images: pa.Table | None) -> bytes:
    shown = [*rows_of(difference, _SHOWN)]
    served = _served([row["custom_id"] for row in shown], images)
    before = difference.before.rpartition("/")[2]
    total = difference.rows.num_rows
    notice = f'<p class="notice">The first {len(shown):,} of {total:,}.</p>' if total > len(shown) else ""
    names = ("changed", "added", "removed", "unchanged")
    parts = {
        "title": html.escape(f"{before} → {report.night}"),
        "about": f'<a href="{INDEX}">All nights</a>',
        "figures": "".join(_figure(name, getattr(difference, name)) for name in names),
        "main": f"{notice}<ul>{''.join(_change(row, served) for row in shown)}</ul>",
    }
    return _page(parts)


def _served(ids: Sequence[str], images: pa.Table | None) -> dict[str, tuple[str, str]]:
    """Of some rows the name and address of their picture, renditions aside."""
    if images is None:
        return {}
    some = images.filter(pc.is_in(images["custom_id"], pa.array(ids, pa.string())))
    found: dict[str, tuple[str, str]] = {}
    for custom_id, name, there in zip(*(some[one].to_pylist() for one in _SERVED), strict=True):
        if custom_id not in found or len(name) < len(found[custom_id][0]):
            found[custom_id] = name, there
    return found


def _change(row: dict[str, Any], served: dict[str, tuple[str, str]]) -> str:
    custom_id, change = row["custom_id"], row["change"]
    name, there = served.get(custom_id, ("", "")) if change != "removed" else ("", "")
    link = "" if there.startswith("s3://") else there
    why = f"changed: {', '.join(row['reasons'])}" if change == "changed" else change
    link = html.escape(link)
    picture = f'<a href="{link}"><img src="{link}" alt="" loading="lazy"></a>' if link else _NONE
    title = f'<h2 dir="auto">{html.escape(name or custom_id)}</h2>'
    return f'<li class="{change}"><div class="side">{picture}</div>{title}<p>{html.escape(why)}</p></li>'


def _page(parts: dict[str, str]) -> bytes:
    template = resources.files(__package__).joinpath("public.html").read_text(encoding="utf-8")
    parts = {"updated": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **parts}
    # One pass, so that a value that looks like a placeholder is not taken for one.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template).encode("utf-8", "replace")
