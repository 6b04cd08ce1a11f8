"""Reference pictures as a campaign names them: their addresses, and which of them are not there.

Whether a picture can be read and decoded is for `render` to say; that a file is missing is said before anything is
rendered, all of them together.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.net.url import is_data, is_web, shown
from pressrun.cluster.references.missing_reference import file_called, other_forms, why_missing
from pressrun.cluster.store.opening import Stores
from pressrun.cluster.store.uri import resolve_uri
from pressrun.jobs.tables.addresses import addresses_in
from pressrun.jobs.text.wording import first_of, several
from pressrun.pipeline.errors import JobError, RequestError

MAX_OBJECTS = 1_000
"""Objects in buckets that are looked for: each is a request."""

_THREADS = 16
_LISTED = 5


def addresses(texts: Sequence[pa.Array], rows: int, base: str) -> pa.ListArray:
    """A list for each of `rows` rows: what its cells of all the columns `texts` name, one column after the other, as
    URIs and absolute paths; relative ones are meant from `base`.

    Raises JobError with every cell that names no picture.
    """
    if not texts:
        return pa.ListArray.from_arrays(np.zeros(rows + 1, np.int32), pa.array([], pa.string()))
    by_row = np.arange(len(texts) * rows).reshape(len(texts), rows).T.ravel()
    cells = pc.dictionary_encode(pa.concat_arrays(texts).take(pa.array(by_row)), null_encoding="encode")
    lists, problems = [], []
    for cell in cells.dictionary.to_pylist():
        try:
            lists.append([resolve_uri(address, base) for address in addresses_in(cell or "") if address])
        except RequestError as error:
            lists.append([])
            problems.append(error.message)
    if problems:
        raise JobError(*(f"references: {problem}" for problem in problems), code="bad_campaign")
    taken = pa.array(lists, pa.list_(pa.string())).take(cells.indices)
    return pa.ListArray.from_arrays(taken.offsets[:: len(texts)], taken.flatten())


@dataclass
class NamedPictures:
    """Pictures that rows name, by address, each with how many rows."""

    rows: Counter[str] = field(default_factory=Counter)

    def look(self, column: pa.ListArray) -> None:
        """Count those of some rows more."""
        for one in pc.value_counts(pc.drop_null(pc.list_flatten(column))).to_pylist():
            self.rows[one["values"]] += one["counts"]

    def missing(self, stores: Stores) -> list[str]:
        """Those that are not there: files, and objects in buckets up to `MAX_OBJECTS`. Nobody asks the web.

        Raises StorageError when a store does not answer.
        """
        files = [uri for uri in self.rows if uri.startswith("/") and file_called(uri) is None]
        objects = list(islice((uri for uri in self.rows if uri.lower().startswith("s3://")), MAX_OBJECTS))
        with ThreadPoolExecutor(_THREADS) as threads:
            there = threads.map(lambda uri: _is_there(stores, uri), objects)
            return files + [uri for uri, found in zip(objects, there, strict=True) if not found]

    def of_this_machine(self) -> list[str]:
        """Paths, which mean nothing in a manifest that lies in a bucket."""
        return [uri for uri in self.rows if not (uri.lower().startswith("s3://") or is_web(uri) or is_data(uri))]

    def told(self, missing: Sequence[str]) -> Iterator[str]:
        """A sentence about those that are missing, if there are any."""
        if missing:
            more = f" and {len(missing) - _LISTED:,} more" if len(missing) > _LISTED else ""
            are = "reference picture is" if len(missing) == 1 else "reference pictures are"
            cases = ", ".join(map(self._case, missing[:_LISTED]))
            yield f"{len(missing):,} {are} not there, and render would fail their rows: {cases}{more}."

    def _case(self, uri: str) -> str:
        why = why_missing(uri)
        hint = f" {why[1].removeprefix('does not exist').lstrip('; ,')}" if why else ""
        return f"{shown(uri)} ({several(self.rows[uri], 'row')}{';' + hint if hint else ''})"


def check_addresses(pictures: NamedPictures, out: str) -> None:
    """Raises JobError where a manifest at `out` cannot name these pictures, because it lies in a bucket."""
    paths = pictures.of_this_machine() if out.lower().startswith("s3://") else []
    if paths:
        raise JobError(
            f"`out` {out} lies in a bucket, whose manifests name no files of this machine: {first_of(paths, _LISTED)}; "
            "put the pictures into the bucket and name them s3://…, or write the manifest to a disk.",
            code="bad_campaign",
        )


def _is_there(stores: Stores, uri: str) -> bool:
    """Whether an object is, by another form of its name if there is none by this one."""
    forms: Iterable[str] = (uri, *(f"s3://{form}" for form in other_forms(uri[len("s3://") :])))
    for form in forms:
        try:
            if stores.entry(form) is not None:
                return True
        except (OSError, RequestError):  # who may not ask cannot say that it is missing
            return True
    return False
