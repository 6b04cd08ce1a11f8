"""A decision: what somebody said of one picture, bound to its bytes. A picture that is rendered again has none."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

APPROVED, REJECTED, UNDECIDED = "approved", "rejected", ""
VERDICTS = (APPROVED, REJECTED, UNDECIDED)


@dataclass(frozen=True)
class Decision:
    """What was decided of the picture of the row `custom_id` that has the digest `sha256`, and was made with
    `render_key`.

    `verdict` is one of `VERDICTS`. With `again` the row is rendered again: from then on its seed is `seed`, its prompt
    `prompt` (None: its own). `by` is who said so, `at` when, in ISO 8601. `id` is a ULID: of two decisions on the same
    picture the one with the greater one counts.
    """

    id: str
    custom_id: str
    sha256: str
    verdict: str = UNDECIDED
    comment: str = ""
    again: bool = False
    seed: int | None = None
    prompt: str | None = None
    render_key: str = ""
    by: str = ""
    at: str = ""

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> "Decision":
        """A decision as JSON holds it. Raises TypeError or ValueError for anything else; unknown fields are passed
        over."""
        known = cls(**{field.name: told[field.name] for field in fields(cls) if field.name in told})
        texts = (known.id, known.custom_id, known.sha256, known.comment, known.render_key, known.by, known.at)
        sound = all(isinstance(text, str) for text in texts) and known.verdict in VERDICTS
        sound = sound and isinstance(known.again, bool) and isinstance(known.prompt, str | None)
        if not sound or not isinstance(known.seed, int | None):
            raise ValueError("a field of a decision has another type")
        return known

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def says_the_same(self, other: "Decision") -> bool:
        """Whether both say the same of the same picture, whoever said it when."""
        return replace(self, id="", by="", at="") == replace(other, id="", by="", at="")


class Decisions:
    """All decisions of a job; of each picture the last one counts."""

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self.all = tuple(sorted({one.id: one for one in decisions}.values(), key=lambda one: one.id))
        self._standing = {(one.custom_id, one.sha256): one for one in self.all}

    def __bool__(self) -> bool:
        return bool(self.all)

    def of(self, custom_id: str, sha256: str | None) -> Decision | None:
        """What was decided of a row's picture, if anything was."""
        return self._standing.get((custom_id, sha256 or ""))

    def verdict(self, custom_id: str, sha256: str | None) -> str:
        """`APPROVED`, `REJECTED` or `UNDECIDED`."""
        decision = self.of(custom_id, sha256)
        return decision.verdict if decision else UNDECIDED

    def approved(self, custom_ids: pa.Array, digests: pa.Array) -> pa.Array:
        """Which of many rows' pictures are approved, as booleans."""
        return self._have(APPROVED, custom_ids, digests)

    def rejected(self, custom_ids: pa.Array, digests: pa.Array) -> pa.Array:
        """Which of them are rejected."""
        return self._have(REJECTED, custom_ids, digests)

    def _have(self, verdict: str, custom_ids: pa.Array, digests: pa.Array) -> pa.Array:
        named = [f"{sha} {name}" for (name, sha), one in self._standing.items() if one.verdict == verdict]
        told = pc.binary_join_element_wise(digests, custom_ids, " ")
        return pc.is_in(told, pa.array(named, pa.string())).fill_null(False)

    def rerolls(self, standing: Mapping[str, str | None] | None = None) -> dict[str, Decision]:
        """By custom_id the decision because of which a row has another seed or prompt than its manifest says, or is to
        have. `standing` has rows' pictures: what was decided of these themselves is not carried out yet, and left out.
        """
        counts = sorted(self._standing.values(), key=lambda one: one.id)
        wanted = (one for one in counts if one.again and one.verdict == REJECTED)
        return {one.custom_id: one for one in wanted if standing is None or standing.get(one.custom_id) != one.sha256}
