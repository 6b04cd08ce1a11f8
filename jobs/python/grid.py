"""A job in a notebook: its first pictures side by side, with everything that is shown in the HTML itself.

A notebook is saved and passed on: what is a stranger's is escaped, and nothing is fetched from anywhere.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pressrun.cluster.store.store import Store
from pressrun.jobs.folder.causes import Cause
from pressrun.jobs.results.picture_files import small_picture
from pressrun.jobs.text.wording import shortened

PICTURES = 24
_THREADS = 8

_GRID = "display:flex;flex-wrap:wrap;gap:8px"
_FIGURE = "margin:0;width:128px;font:11px sans-serif;overflow-wrap:anywhere"
_IMAGE = "width:128px;height:128px;object-fit:contain;display:block"


def grid(store: Store, rows: pa.Table, title: str, causes: Sequence[Cause]) -> str:
    """HTML with the first of a job's pictures, a title over them, and below them why rows have none."""
    done = rows.select(["custom_id", "image"]).filter(rows["image"].is_valid())
    shown = done.slice(0, PICTURES).to_pylist()
    with ThreadPoolExecutor(_THREADS) as threads:
        figures = list(threads.map(lambda row: _figure(store, row), shown))
    lines = [_line(f"{cause.rows:,} × {cause.code}: {cause.example}") for cause in causes]
    if done.num_rows > len(shown):
        lines.insert(0, _line(f"… and {done.num_rows - len(shown):,} more pictures: .pictures() has them all."))
    return f'{_line(title)}<div style="{_GRID}">{"".join(figures)}</div>{"".join(lines)}'


def _line(text: str) -> str:
    return f"<div>{html.escape(shortened(text, 400))}</div>"


def _figure(store: Store, row: Mapping[str, Any]) -> str:
    name = html.escape(shortened(row["custom_id"]))
    small = small_picture(store, row["image"])
    data = base64.b64encode(small or b"").decode()
    shown = f'<img style="{_IMAGE}" alt="{name}" src="data:image/webp;base64,{data}">' if small else "(cannot be read)"
    return f'<figure style="{_FIGURE}">{shown}<figcaption>{name}</figcaption></figure>'
