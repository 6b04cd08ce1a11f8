"""The names that a purge is about: of each picture its own and those of all its renditions, whatever their formats."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pressrun.cluster.store.store import Store
from pressrun.cluster.store.uri import check_path
from pressrun.jobs.text.wording import first_of, shortened
from pressrun.pipeline.errors import JobError
from pressrun.pipeline.finishing.codec import FORMATS, extension

_ENDINGS = [extension(format) for format in FORMATS]
_ENDING = rf"(@[^@/]*)?\.({'|'.join(_ENDINGS)})$"
"""What follows a picture's stem: no row's own name holds an @ (see `cluster.actors.finisher.rendition_path`)."""


@dataclass(frozen=True)
class PurgedNames:
    """Pictures by the `stems` of their names: `mug` stands for `mug.png`, `mug.webp`, `mug@hero.webp`, …"""

    stems: tuple[str, ...]

    @classmethod
    def parse(cls, names: Iterable[str]) -> "PurgedNames":
        """Read names as they stand in a place, a picture's own or that of one of its renditions.

        Raises:
            JobError: one of them is no picture's name.
        """
        stems, problems = [], []
        for name in names:
            name = unicodedata.normalize("NFC", name)
            stem = re.sub(_ENDING, "", name)
            try:
                check_path(stem)
            except ValueError:
                stem = name
            if stem == name:
                example = f"as it stands in the place, with its ending ({first_of(_ENDINGS)})"
                problems.append(f"`purge` {shortened(name)}: give a picture's name {example}.")
            stems.append(stem)
        if problems:
            raise JobError(*problems, code="bad_option")
        return cls(tuple(dict.fromkeys(stems)))

    def and_those_of(self, names: Iterable[str]) -> "PurgedNames":
        """These pictures, and those that some more names are of."""
        more = [re.sub(_ENDING, "", name) for name in names if re.search(_ENDING, name)]
        return PurgedNames(tuple(dict.fromkeys([*self.stems, *more])))

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of some names that are of these pictures."""
        stems = set(self.stems)
        return [name for name in names if (stem := re.sub(_ENDING, "", name)) != name and stem in stems]

    def where(self, names: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Which of some names are of these pictures; as columns, for there may be a million of them."""
        stems = pc.replace_substring_regex(names, _ENDING, "")
        ours = pc.and_(pc.is_in(stems, pa.array(self.stems, pa.string())), pc.not_equal(stems, names))
        return ours.fill_null(False)

    def standing(self, store: Store, folder: str = "", ending: str = "") -> list[str]:
        """The paths of what stands under these names in a folder ("" or with a slash at its end) of a store; with an
        `ending`, of what has that besides.

        Raises:
            StorageError: the store failed although it was asked again.
        """
        found = {path for stem in self.stems for path in store.paths(folder + stem)}
        names = [path.removeprefix(folder).removesuffix(ending) for path in found if path.endswith(ending)]
        return [f"{folder}{name}{ending}" for name in sorted(self.among(names))]
