"""Texts that are most likely none: what programs write where there is no value, errors of Excel's, lost letters.

An error of a formula refuses its row. The rest may be meant, and is said before anything is rendered.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.jobs.tables.row_errors import BadRows
from pressrun.jobs.tables.table_notes import row_numbers
from pressrun.jobs.text.wording import shortened

NOTHING = r"(?i)^\s*(?:null|none|nan|nil|nat|undefined|n/a|<na>|\(null\)|\\n|-+)\s*$"
"""What databases, pandas, R and people write where there is no value."""

ERROR = (
    r"^\s*#(?:N/A|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!|FIELD!|BLOCKED!|CONNECT!|UNKNOWN!|BUSY!"
    r"|GETTING_DATA|NV|WERT!|BEZUG!|ZAHL!|N/D|VALEUR!|NOM\?|NOMBRE!|NUL!|VALOR!|NOME\?|NOMBRE\?)\s*$"
)
"""What Excel shows in the place of a value, in English, German, French, Spanish and Portuguese."""

_DOUBTS = (
    (NOTHING, "as programs write that there is none; if that is meant, leave the cell empty"),
    ("\ufffd", "with “�”, which stands for a letter that was lost on the way; write it again"),
    (r"\\[\\nrt'\"0]", "with backslashes as databases write them; if they are no part of it, export without them"),
)


def refuse_errors(texts: pa.ChunkedArray, name: str, bad: BadRows) -> None:
    """Note the rows whose text is an error of Excel's; `name` is the column's."""
    bad.add(
        pc.match_substring_regex(texts, ERROR),
        "bad_text",
        lambda row: (
            f"The {name} is {shortened(texts[row].as_py().strip(), 40)}, an error that Excel shows in the place of a "
            "value; mend its formula."
        ),
        texts,
    )


def doubts(prompts: pa.ChunkedArray, refused: np.ndarray) -> tuple[str, ...]:
    """What is to be said of prompts that are read as they stand; of those in `refused` rows enough is."""
    notes = []
    for pattern, words in _DOUBTS:
        found = np.flatnonzero(pc.fill_null(pc.match_substring_regex(prompts, pattern), False).to_numpy())
        rows = np.setdiff1d(found, refused)
        if len(rows):
            shown = f"“{shortened(prompts[int(rows[0])].as_py().strip(), 40)}”"
            verb = "is a prompt" if len(rows) == 1 else "and others are prompts"
            notes.append(f"{shown} {verb} {words} ({row_numbers(rows.tolist())}).")
    return tuple(notes)
