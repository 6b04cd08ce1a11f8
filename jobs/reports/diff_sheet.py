"""The sheet of a difference: one page with before and after side by side, which opens from disk or bucket by itself.

It has no script: everything that it shows stands in it, and pictures lie at addresses relative to it.
"""

import difflib
import html
import os
import posixpath
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any
from urllib.parse import quote

from pressrun.cluster.store.uri import local_path
from pressrun.jobs.folder.job_file import IMAGES
from pressrun.jobs.reports.diff import Difference, rows_of
from pressrun.jobs.text.wording import shortened

ROWS = 5_000
"""Pictures that a sheet shows."""

_PROMPT = 600


def write_diff_sheet(difference: Difference, where: str, limit: int = ROWS) -> bytes:
    """The bytes of the page that will stand at `where`, a path or an `s3://` URI."""
    sheet = where if where.lower().startswith("s3://") else local_path(where)
    before, after = (uri.rsplit("/", 1)[-1] for uri in (difference.before, difference.after))
    total = difference.rows.num_rows
    notice = f'<p class="notice">The first {limit:,} of {total:,} pictures that differ.</p>' if total > limit else ""
    why = ", ".join(f"{count:,} {name}" for name, count in difference.reasons.items())
    parts = {
        "title": html.escape(f"{before} → {after}"),
        "about": html.escape(f"{difference.before}  ·  {difference.after}" + (f"  ·  changed: {why}" if why else "")),
        "figures": "".join(_figure(difference, name) for name in ("changed", "added", "removed", "unchanged")),
        "notice": notice,
        "rows": "\n".join(_row(row, sheet) for row in rows_of(difference, limit)),
    }
    template = resources.files(__package__).joinpath("diff.html").read_text(encoding="utf-8")
    # One pass, so that a value that looks like a placeholder is not taken for one.
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)
    return page.encode("utf-8", "replace")


def _figure(difference: Difference, name: str) -> str:
    return f"<div><dt>{name}</dt><dd>{getattr(difference, name):,}</dd></div>"


def _row(row: dict[str, Any], sheet: str) -> str:
    change = row["change"]
    sides = "".join(_side(row, side, sheet) for side in ("before", "after"))
    why = ", ".join(row["reasons"]) if change == "changed" else change
    return (
        f'<li class="{change}"><div class="pair">{sides}</div><h2 dir="auto">{html.escape(row["custom_id"])}</h2>'
        f'<p class="why">{html.escape(why)}</p><p class="prompt" dir="auto">{"".join(_prompt(row))}</p></li>'
    )


def _side(row: dict[str, Any], side: str, sheet: str) -> str:
    image = row[f"{side}_image"]
    if image is None:
        return f'<div class="side"><span>{"not there yet" if side == "before" else "no more"}</span></div>'
    full, small = address(image, sheet), address(_thumbnail(image), sheet)
    if full is None:
        return f'<div class="side"><span>kept at {html.escape(image)}</span></div>'
    alt = html.escape(f"{side}: {shortened(row[f'{side}_prompt'] or row['custom_id'], 300)}")
    return (
        f'<div class="side"><a href="{html.escape(full)}" target="_blank" rel="noopener">'
        f'<img src="{html.escape(small or full)}" alt="{alt}" loading="lazy" decoding="async"></a></div>'
    )


def _prompt(row: dict[str, Any]) -> Iterator[str]:
    """The prompt, with what went and what came in it where it is another."""
    was, now = ((row[f"{side}_prompt"] or "")[:_PROMPT] for side in ("before", "after"))
    if row["change"] != "changed" or was == now:
        yield html.escape(now or was)
        return
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (was, now))
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        went, came = html.escape("".join(old[a:b])), html.escape("".join(new[c:d]))
        if kind == "equal":
            yield came
        else:
            yield (
                (f"<del>{went}</del>" if went else "")
                + (" " if went and came else "")
                + (f"<ins>{came}</ins>" if came else "")
            )


def _thumbnail(image: str) -> str:
    maker, _, name = image.rpartition(f"/{IMAGES}")
    return f"{maker}/thumbs/{name}.webp"


def address(image: str, sheet: str) -> str | None:
    """How a browser gets from a page at `sheet` to a picture; None where it cannot."""
    place, there = _split(image)
    home, here = _split(sheet)
    if place != home:
        return None if place else "file://" + quote(image)
    join = posixpath if place else os.path
    return quote(join.relpath(there, join.dirname(here)))


def _split(uri: str) -> tuple[str, str]:
    """A URI's bucket ("" for a disk) and the absolute path in it."""
    match = re.fullmatch(r"(s3://[^/]+)(/.*)", uri)
    return (match[1], match[2]) if match else ("", uri)
