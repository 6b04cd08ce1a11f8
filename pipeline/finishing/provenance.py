"""Provenance: whose a picture is, what it shows and what it was made from, in the vocabulary that librarians read.

IPTC Photo Metadata 2025.1 over XMP. The mark that a picture is generated, the system that did it and the identifier are
in every picture (see `metadata`); what is here comes from the manifest, and is left out where it is empty.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from xml.sax.saxutils import escape

from pressrun.pipeline.strict_table import StrictTable

TEXTS = ("title", "creator", "copyright", "rights", "alt_text", "source")
"""Fields of one text; beside them there are the keywords."""

BREAKS = r"[\x0b\x0c\x1c-\x1f]"
"""Control characters that stand between words: the breaks of presentations and of old files."""
UNREADABLE = r"[\x00-\x08\x0e-\x1b]"
"""Control characters that stand for nothing that a person reads."""


@dataclass(frozen=True)
class Provenance:
    """What a row says about its picture: `copyright` is the notice, `rights` the terms under which it may be used,
    `source` the asset that it is an edit of. `prompt` is there only when the job asks for it: prompts may be secret."""

    title: str = ""
    creator: str = ""
    copyright: str = ""
    rights: str = ""
    alt_text: str = ""
    source: str = ""
    keywords: tuple[str, ...] = ()
    prompt: str = ""

    @property
    def given(self) -> dict[str, Any]:
        """What is not empty."""
        return {name: value for name, value in asdict(self).items() if value}


NOTHING_SAID = Provenance()


@dataclass(frozen=True)
class ProvenanceSpec:
    """Where a job's provenance comes from: templates over the manifest's columns such as `© {year} Example`.

    None takes the manifest's column of that name, if there is one.
    """

    title: str | None = None
    creator: str | None = None
    copyright: str | None = None
    rights: str | None = None
    alt_text: str | None = None
    source: str | None = None
    keywords: tuple[str, ...] | None = None
    prompt: bool = False


USUAL_COLUMNS = ProvenanceSpec()


def read_provenance_spec(spec: StrictTable) -> ProvenanceSpec:
    """The `[provenance]` of a finishing spec; what is wrong with it is noted there."""
    table = spec.table("provenance")
    templates = {name: table.text(name) or None for name in TEXTS}
    keywords = table.texts("keywords") if table.has("keywords") else None
    prompt = table.truth("prompt")
    table.end()
    return ProvenanceSpec(**templates, keywords=keywords, prompt=prompt)


NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}

_PROPERTIES = {
    "title": ("dc:title", "Alt"),
    "creator": ("dc:creator", "Seq"),
    "copyright": ("dc:rights", "Alt"),
    "rights": ("xmpRights:UsageTerms", "Alt"),
    "keywords": ("dc:subject", "Bag"),
    "alt_text": ("Iptc4xmpCore:AltTextAccessibility", "Alt"),
    "source": ("dc:source", ""),
    "prompt": ("Iptc4xmpExt:AIPromptInformation", ""),
}
"""Where each field stands in XMP, and the kind of list that its values stand in."""

assert set(_PROPERTIES) == {field.name for field in fields(Provenance)}


def xmp_properties(given: Mapping[str, Any]) -> Iterable[str]:
    """The elements of what is `given`."""
    for name, (tag, kind) in _PROPERTIES.items():
        if name in given:
            values = [given[name]] if isinstance(given[name], str) else given[name]
            yield f"<{tag}>{_listed([escape(_readable(value)) for value in values], kind)}</{tag}>"


def _listed(values: list[str], kind: str) -> str:
    if not kind:
        return values[0]
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{value}</rdf:li>" for value in values)
    return f"<rdf:{kind}>{items}</rdf:{kind}>"


def _readable(text: str) -> str:
    """`text` without the characters that XML 1.0 cannot carry, or not unchanged; here people read, so nothing is
    escaped, and no two words become one."""
    text = re.sub(BREAKS, " ", re.sub("\r\n?", "\n", text))
    return re.sub(f"{UNREADABLE}|[\ud800-\udfff\ufffe\uffff]", "", text)
