"""Prompts that speak of “image 1” or “reference 2” in rows that have no such picture.

FLUX.2 knows reference pictures by their number. A prompt may hold these words for another reason (a poster that says
“image 1”): it is told, and nothing is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.text.wording import shortened

_MOST = 10
"""The highest number that is looked for: as many references as FLUX.2 takes."""
_SHOWN = 60


@dataclass
class SpokenPictures:
    """Gathers rows whose prompts speak of pictures that they do not have; `example` is about one of those that
    have fewest."""

    rows: int = 0
    example: str = ""

    def look(self, prompts: pa.Array, counts: np.ndarray, custom_ids: pa.Array) -> None:
        """Look at some rows more, of which each has `counts` pictures; one without a prompt says nothing."""
        for count in sorted({*counts.tolist()} & {*range(_MOST)}):
            pattern = rf"(?i)\b(?:image|reference) #?(?:{'|'.join(map(str, range(_MOST, count, -1)))})\b"
            rows = np.flatnonzero(counts == count)
            some = prompts if len(rows) == len(prompts) else prompts.take(pa.array(rows))
            spoken = pc.fill_null(pc.match_substring_regex(some, pattern), False).to_numpy(zero_copy_only=False)
            self.rows += int(spoken.sum())
            if spoken.any() and not self.example:
                row = rows[int(spoken.argmax())]
                self.example = _example(custom_ids[row].as_py(), prompts[row].as_py(), pattern, count)

    @property
    def notes(self) -> Iterator[str]:
        """A sentence about all of them, if there are any."""
        if self.rows:
            prompts = "1 prompt names" if self.rows == 1 else f"{self.rows:,} prompts name"
            yield f"{prompts} a numbered picture that the row does not have, such as {self.example}."


def spoken_pictures(table: pa.Table) -> Iterator[str]:
    """The note about a manifest's rows, if there is something to say."""
    spoken = SpokenPictures()
    for batch in table.select(["custom_id", "prompt", "references"]).to_batches():
        counts = pc.fill_null(pc.list_value_length(batch["references"]), 0).to_numpy(zero_copy_only=False)
        spoken.look(batch["prompt"], counts, batch["custom_id"])
    yield from spoken.notes


def _example(custom_id: str, prompt: str, pattern: str, count: int) -> str:
    said = re.search(pattern, prompt)
    start = max(0, said.start() - _SHOWN // 2) if said else 0
    words = ("…" if start else "") + shortened(prompt[start:], _SHOWN)
    has = "no reference" if not count else "one reference" if count == 1 else f"{count} references"
    return f"{shortened(custom_id)} (“{words}”), which has {has}"
