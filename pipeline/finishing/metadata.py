"""The record that every picture carries in its XMP: which request it answers, what made it, and that it was generated.

A picture is its own commit, so its record must be readable without anything else, and survive any custom_id that a
customer can think of. The vocabulary: IPTC Photo Metadata 2025.1 for the mark that the law asks for (DigitalSourceType)
and for the system that generated it, Dublin Core's identifier for the custom_id, a namespace of our own for the rest.
There is no time stamp: the same row gives the same bytes.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from PIL import Image

from pressrun.pipeline.finishing.codec import FORMATS
from pressrun.pipeline.finishing.provenance import NAMESPACES, xmp_properties
from pressrun.pipeline.references.png_chunks import pixels_alone

GENERATED = "trainedAlgorithmicMedia"
COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
"""IPTC's words for a picture made by a model alone, and for one that a reference photo went into."""

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_OURS = "urn:x-pressrun:record:1.0/"
_NAMESPACES = {**NAMESPACES, "xmp": _XMP, "pressrun": _OURS}
_DC, _IPTC = _NAMESPACES["dc"], _NAMESPACES["Iptc4xmpExt"]

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}"><rdf:Description rdf:about=""
 {namespaces}>
{properties}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""

_NOT_XML = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 cannot carry, or not unchanged (it normalises line ends)."""
_ESCAPED = "percent:"

_HEAD_BYTES = {"png": 16_384, "jpeg": 16_384}

_MAX_PACKET = 1 << 20
"""Bytes of XMP that are taken apart: a record of ours is a few thousand, an editor's history may be megabytes."""


def _generator() -> str:
    try:
        return f"Pressrun {version('pressrun')}"
    except PackageNotFoundError:  # a checkout that was not installed, e.g. shipped to a cluster as a folder
        return "Pressrun"


@dataclass(frozen=True)
class Record:
    """What a picture says about itself. `render_key`, `finish_key` and `model_digest` are hexadecimal SHA-256.

    `rendition` names the one that this picture is, "" for the picture as it was rendered. Pictures that were written
    before there were finish keys have none (""): they were finished plainly. `reseeds` counts the seeds that were tried
    before this one, `findings` is what the checks said (see `pipeline.checks.finding`), `likeness` the perceptual hash
    where the job looks for duplicates.
    """

    custom_id: str
    seed: int
    render_key: str
    model: str
    model_digest: str
    device: str
    precision: str
    generator: str = field(default_factory=_generator)
    finish_key: str = ""
    rendition: str = ""
    reseeds: int = 0
    findings: str = ""
    likeness: int = 0

    def is_of(self, custom_id: str, render_key: str, finish_key: str, rendition: str = "") -> bool:
        """Whether the picture is this very one."""
        same = (self.custom_id, self.render_key, self.rendition) == (custom_id, render_key, rendition)
        return same and self.finish_key in (finish_key, "")


_PROPERTIES = {
    "custom_id": ("dc:identifier", f"{{{_DC}}}identifier"),
    "seed": ("pressrun:seed", f"{{{_OURS}}}seed"),
    "render_key": ("pressrun:renderKey", f"{{{_OURS}}}renderKey"),
    "model": ("Iptc4xmpExt:AISystemUsed", f"{{{_IPTC}}}AISystemUsed"),
    "model_digest": ("Iptc4xmpExt:AISystemVersionUsed", f"{{{_IPTC}}}AISystemVersionUsed"),
    "device": ("pressrun:device", f"{{{_OURS}}}device"),
    "precision": ("pressrun:precision", f"{{{_OURS}}}precision"),
    "generator": ("xmp:CreatorTool", f"{{{_XMP}}}CreatorTool"),
    "finish_key": ("pressrun:finishKey", f"{{{_OURS}}}finishKey"),
    "rendition": ("pressrun:rendition", f"{{{_OURS}}}rendition"),
    "reseeds": ("pressrun:reseeds", f"{{{_OURS}}}reseeds"),
    "findings": ("pressrun:findings", f"{{{_OURS}}}findings"),
    "likeness": ("pressrun:likeness", f"{{{_OURS}}}likeness"),
}
"""Where each field of a record stands in the XMP: as written, and as ElementTree names it."""
_OPTIONAL = ("finish_key", "rendition", "reseeds", "findings", "likeness")
_NUMBERS = ("seed", "reseeds", "likeness")
"""Fields that are left out where they are empty."""


def write_xmp(
    record: Record, digital_source_type: str = GENERATED, provenance: Mapping[str, Any] = MappingProxyType({})
) -> bytes:
    """The XMP packet (UTF-8) of a record, marked with one of IPTC's digital source types; `provenance` is what is
    given of one (see `Provenance.given`)."""
    lines = [f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPES}{digital_source_type}</Iptc4xmpExt:DigitalSourceType>"]
    for name, (tag, _) in _PROPERTIES.items():
        if name in _OPTIONAL and not getattr(record, name):
            continue
        lines.append(f"<{tag}>{escape(_to_xml(str(getattr(record, name))))}</{tag}>")
    properties = "\n".join([*lines, *xmp_properties(provenance)])
    namespaces = "\n ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
    return _PACKET.format(rdf=_RDF, namespaces=namespaces, properties=properties).encode()


def read_record(data: bytes) -> Record | None:
    """The record of a picture file, or None if it carries none of ours; never an exception, whatever `data` is.

    `data` may be only the head of the file, as long as `head_bytes` says; a very long custom_id may need more, so
    ask again with the whole file before believing a None.
    """
    try:
        description = _description(data)
        values: dict[str, Any] = {
            name: _from_xml(description.find(tag).text or "")
            for name, (_, tag) in _PROPERTIES.items()
            if name not in _OPTIONAL or description.find(tag) is not None
        }
        return Record(**(values | {name: int(values[name]) for name in _NUMBERS if name in values}))
    except Exception:  # foreign pictures and broken ones are expected here, and there are many ways to be broken
        return None


def read_properties(data: bytes) -> dict[str, str | list[str]]:
    """Everything that a picture's XMP says, by the names that it is known under (`dc:title`); empty where it has none.

    Only what this program writes is sure to be read: simple texts, and lists of them.
    """
    try:
        return {_known_as(element.tag): _text_or_texts(element) for element in _description(data)}
    except Exception:  # as above
        return {}


def _description(data: bytes) -> Any:
    series_lock, told = pixels_alone(data)
    with Image.open(io.BytesIO(series_lock), formats=[name.upper() for name in FORMATS]) as picture:
        packet: Any = told.get("xmp") or picture.info.get("xmp")
    if len(packet) > _MAX_PACKET:
        raise ValueError("somebody's history, and no record of ours")
    return ElementTree.fromstring(packet).find(f".//{{{_RDF}}}Description")


def _known_as(tag: str) -> str:
    uri, _, name = tag.removeprefix("{").partition("}")
    prefix = next((prefix for prefix, known in _NAMESPACES.items() if known == uri), uri)
    return f"{prefix}:{name}"


def _text_or_texts(element: Any) -> str | list[str]:
    if not len(element):
        return _from_xml(element.text or "")
    texts = [item.text or "" for item in element.iter(f"{{{_RDF}}}li")]
    return texts[0] if element[0].tag == f"{{{_RDF}}}Alt" else texts


def head_bytes(format: str) -> int | None:
    """How many bytes from a file's start hold an ordinary record; None: read it whole.

    PNG and JPEG have their XMP before the pixels. WebP has it at the end; AVIF has it early, but its decoder wants the
    whole file. Both are small (about 45 KiB a megapixel).
    """
    return _HEAD_BYTES.get(format)


def _to_xml(text: str) -> str:
    """`text` as XML can carry it: nearly always unchanged, else (control characters, lone surrogates) escaped."""
    if _NOT_XML.search(text) or text.startswith(_ESCAPED):
        return _ESCAPED + quote(text.encode("utf-8", "surrogatepass"), safe=" ")
    return text


def _from_xml(text: str) -> str:
    if text.startswith(_ESCAPED):
        return unquote_to_bytes(text.removeprefix(_ESCAPED)).decode("utf-8", "surrogatepass")
    return text
