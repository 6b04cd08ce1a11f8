"""A campaign's preview: one page with the prompt, texts, size and layout of its combinations, before any is rendered.

It holds everything that it shows, small pictures of set words included, and opens from a disk or a mail.
"""

import base64
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from pressrun.cluster.net.url import shown
from pressrun.jobs.campaign.content import PICTURES
from pressrun.jobs.campaign.trial_setting import Output, TrialSetting
from pressrun.jobs.campaign.variants import Count, Variants
from pressrun.jobs.finish.row_metadata import Captions
from pressrun.jobs.reports.contact_sheet import cells
from pressrun.jobs.reports.page import as_json, page
from pressrun.jobs.text.wording import several
from pressrun.pipeline.finishing.spec import FinishingSpec
from pressrun.pipeline.models.catalogue import Model

MAX_ROWS = 300
"""Combinations of one page: those that follow are only counted."""

MAX_PICTURES = 60
"""Outputs whose words are set as a picture; of the others the boxes are drawn. Each takes a tenth of a second."""


@dataclass(frozen=True)
class Preview:
    """A page: its bytes, how many combinations it shows of how many, how many outputs have set words, and which rows
    have words that cannot be set, by the sentence that says why."""

    data: bytes
    rows: int
    shown: int
    pictures: int
    problems: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        of = f"the first {self.shown:,} of {self.rows:,}" if self.shown < self.rows else f"{self.rows:,}"
        set_on = f", with the words set on {several(self.pictures, 'picture')}" if self.pictures else ""
        return f"{of} combinations{set_on}; nothing is rendered"


def make_preview(
    variants: Variants,
    count: Count,
    title: str,
    model: Model,
    finishing: FinishingSpec | None = None,
    where: Mapping[str, tuple[str, ...]] | None = None,
    missing: tuple[str, ...] = (),
) -> Preview:
    """The preview of combinations that have, in each column of `where`, one of its values.

    `model` gives the size of rows that name none, `finishing` how words are set; reference pictures that are `missing`
    are marked. Raises JobError where `where` names no axis or leaves no row, and where the finishing spec asks for a
    column that there is not.
    """
    rows, total = variants.first(MAX_ROWS, where or {})
    setting = TrialSetting(finishing) if finishing else None
    words: list[Mapping[str, str]] = [{}] * rows.num_rows
    if finishing:
        words = [row.words for row in Captions.parse(finishing, rows).each(rows)]
    sizes = zip(_side(rows, "width", model.width), _side(rows, "height", model.height), strict=True)
    outputs = [list(setting.outputs(*size)) if setting else [Output("", *size, bare=True)] for size in sizes]
    tried = _tried(setting, outputs, words)
    data = {
        "title": title,
        "count": str(count),
        "total": total,
        "pictures": sum(1 for row in tried for one in row if "small" in one),
        "sized": "width" in rows.column_names and "height" in rows.column_names,
        "notes": list(variants.notes),
        "missing": [_shown(uri, variants.campaign.base) for uri in missing],
        "axes": [{"name": axis.name, "cells": cells(axis.key, rows[axis.key])} for axis in variants.campaign.axes],
        "ids": rows["custom_id"].to_pylist(),
        "languages": cells("language", rows["language"]) if "language" in rows.column_names else None,
        "prompts": cells("prompt", rows["prompt"]),
        "texts": [{"name": name, "cells": cells(name, rows[name])} for name in _own(variants, rows)],
        "references": _references(rows, variants.campaign.base),
        "outputs": tried,
    }
    return Preview(page("preview.html", title, as_json(data)), total, rows.num_rows, data["pictures"], _problems(data))


def _own(variants: Variants, rows: pa.Table) -> list[str]:
    """Columns that the campaign's file makes; those of a size stand in the outputs."""
    return [
        name for name in variants.campaign.columns if name not in ("prompt", *PICTURES) and name in rows.column_names
    ]


def _references(rows: pa.Table, base: str) -> list[list[str]]:
    lists: list[list[str]] = [[] for _ in range(rows.num_rows)]
    for name in PICTURES:
        if name in rows.column_names:
            for found, cell in zip(lists, rows[name].to_pylist(), strict=True):
                found += [_shown(uri, base) for uri in cell or ()]
    return lists


def _shown(uri: str, base: str) -> str:
    """A picture as the campaign names it: beside its file by the path from there."""
    return shown(uri.removeprefix(f"{base}/"))


def _side(rows: pa.Table, name: str, usual: int) -> list[int]:
    """Widths or heights; a side that no picture has is left for `render` to refuse."""
    if name not in rows.column_names:
        return [usual] * rows.num_rows
    sides = rows[name].to_pylist()
    return [side if isinstance(side, int) and 0 < side < 1 << 14 else usual for side in sides]


def _tried(
    setting: TrialSetting | None, outputs: list[list[Output]], words: list[Mapping[str, str]]
) -> list[list[dict[str, Any]]]:
    """What the page shows of each row's outputs; the first `MAX_PICTURES` of them have a picture."""
    queue = [(row, output) for row, of_row in enumerate(outputs) for output in of_row]
    drawn = set(islice((place for place, (_, output) in enumerate(queue) if not output.bare), MAX_PICTURES))

    def look(numbered: tuple[int, tuple[int, Output]]) -> tuple[int, dict[str, Any]]:
        place, (row, output) = numbered
        said: dict[str, Any] = {"rendition": output.rendition, "width": output.width, "height": output.height}
        if setting:
            texts = setting.texts(output, words[row])
            said["texts"] = [{"column": text.column, "box": text.box, "problem": text.problem} for text in texts]
            small = setting.picture(output, words[row]) if place in drawn else None
            if small:
                said["small"] = "data:image/webp;base64," + base64.b64encode(small).decode()
        return row, said

    found: list[list[dict[str, Any]]] = [[] for _ in outputs]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for row, said in threads.map(look, enumerate(queue)):
            found[row].append(said)
    return found


def _problems(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for custom_id, sentence in _sentences(data):
        found.setdefault(sentence, {})[custom_id] = None
    return {sentence: tuple(ids) for sentence, ids in found.items()}


def _sentences(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for custom_id, outputs in zip(data["ids"], data["outputs"], strict=True):
        for output in outputs:
            yield from ((custom_id, text["problem"]) for text in output.get("texts", ()) if text["problem"])
