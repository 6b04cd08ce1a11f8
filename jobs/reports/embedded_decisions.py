"""What a page knows of decisions: those that stand, and what marks on its pictures have to name."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pressrun.jobs.decisions.decision import Decisions
from pressrun.jobs.decisions.marks import MAX_COMMENT
from pressrun.jobs.folder.result_schema import is_done
from pressrun.pipeline.request import FIELDS


def embedded_decisions(
    decisions: Decisions,
    fingerprint: str,
    results: pa.Table,
    shown: Sequence[object],
    own: pa.ChunkedArray | None = None,
) -> dict[str, Any]:
    """What the script `marks.js` reads besides a page's rows, which are `results`: custom_id, status, sha256 and the
    `prompt` that each picture was made with.

    `shown` are these prompts as the page has them: those that are cut cannot be changed in it (`cut`, by row). `own`
    are the manifest's, where they are others.
    """
    done, columns = is_done(results), [results[name].to_pylist() for name in ("custom_id", "sha256", "prompt")]
    own_prompts = columns[2] if own is None else own.to_pylist()
    standing: dict[str, dict[str, Any]] = {}
    for row, (custom_id, sha256, prompt) in enumerate(zip(*columns, strict=True)):
        decision = decisions.of(custom_id, sha256) if done[row] else None
        if decision:
            # A decision has the words that are not the manifest's, a mark those that are not the picture's.
            wanted = (decision.prompt or own_prompts[row]) if decision.again else prompt
            told = {"verdict": decision.verdict, "again": decision.again, "comment": decision.comment}
            standing[custom_id] = told | {"prompt": None if wanted == prompt else wanted}
    return {
        "fingerprint": fingerprint,
        "decisions": standing,
        "cut": [row for row, prompt in enumerate(columns[2]) if prompt != shown[row]],
        "most": {"prompt": int(FIELDS["prompt"].most), "comment": MAX_COMMENT},
    }
